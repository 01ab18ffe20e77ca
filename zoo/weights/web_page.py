"""What a failed download leaves behind instead of weights. Apart from them, for it does not need torch."""

_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<body", b"<script")


def looks_like_web_page(start: bytes) -> bool:
    """Whether a file that begins so is a sign-in page, a "not found", and the like."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith(_STARTS) or b"<html" in text
