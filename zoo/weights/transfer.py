"""One file over HTTP into one place, going on where a broken transfer stopped.

Beside the part lies a note of its address and of what the server calls that version of the file (ETag or
Last-Modified). A part is continued only when the server confirms that version; otherwise it starts anew.
"""

import errno
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes of the whole, None when the server does not say."""

_TRIES = 5  # in a row without a new byte
_PAUSE_SECONDS = 1.0  # after the first of them; doubled with every further one
_LONGEST_PAUSE_SECONDS = 30.0
_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 18
_BUSY = {408, 425, 429, 500, 502, 503, 504}


class TransferError(Exception):
    """An address that does not give the file. The text says why, in a few words."""


class _CutError(Exception):
    """The connection ended early; another try may help."""


class _SafeRedirect(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http, where anybody on the way could put in another file."""

    def redirect_request(self, req: urllib.request.Request, fp: Any, *rest: Any) -> urllib.request.Request | None:
        new = super().redirect_request(req, fp, *rest)
        if new is not None and req.type == "https" and new.type != "https":
            fp.close()
            raise TransferError(f"it leads to {new.full_url}, which is not encrypted")
        return new


def transfer(
    url: str, part: Path, size_range: tuple[int, int] | None = None, on_progress: OnProgress | None = None
) -> None:
    """Brings `part` to the whole of what lies at an address. When the connection is cut, it is tried again.

    What has arrived stays in `part` and is used by the next call, should this one fail.

    Args:
        url: http or https.
        size_range: fewest and most bytes of the file; a server that announces another number is refused at once.

    Raises:
        TransferError: the address does not give the file.
        CheckpointError: the disk is full or refuses.
    """
    most, failures, is_alive = _size(part), 0, False
    while True:
        try:
            response = _ask(url, part, is_alive)
            is_alive = True
            if response is not None:
                with response:
                    _receive(response, url, part, size_range, on_progress)
            return
        except _CutError as cut:
            is_alive = True
            arrived = _size(part)
            failures = 0 if arrived > most else failures + 1
            most = max(most, arrived)
            if failures >= _TRIES:
                raise TransferError(f"{cut}, {failures} times in a row; {arrived:,} bytes are kept") from None
            time.sleep(min(_PAUSE_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS))


def forget(part: Path) -> None:
    """Removes a part and its note."""
    part.unlink(missing_ok=True)
    _note_file(part).unlink(missing_ok=True)


def _ask(url: str, part: Path, is_alive: bool) -> http.client.HTTPResponse | None:
    """The server's answer, from the end of the part on if it can; None when the part is whole already."""
    headers = {"User-Agent": "spectrogram-zoo", "Accept-Encoding": "identity"}
    note, start = _read_note(part), _size(part)
    if start and note.get("url") == url and note.get("version"):
        headers |= {"Range": f"bytes={start}-", "If-Range": note["version"]}
    try:
        answer: http.client.HTTPResponse = _opener().open(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS
        )
        return answer
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and "Range" in headers:  # nothing lies behind the part's end
                if _total(error.headers) == start:
                    return None
                forget(part)
                raise _CutError("the file there is shorter than what had arrived") from None
            text = _flat(f"HTTP {error.code} {error.reason}")
            raise (_CutError(text) if error.code in _BUSY else TransferError(text)) from None
    except urllib.error.URLError as error:
        text = _flat(f"no answer: {error.reason}")
        is_final = not is_alive or isinstance(error.reason, ssl.SSLError)
        raise (TransferError(text) if is_final else _CutError(text)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection broke ({error or type(error).__name__})") from None


def _receive(
    response: http.client.HTTPResponse,
    url: str,
    part: Path,
    size_range: tuple[int, int] | None,
    on_progress: OnProgress | None,
) -> None:
    """Writes an answer to the part, behind what is there if the answer begins there."""
    headers, start, total = response.headers, 0, _total(response.headers)
    if response.status == 206:
        start = _size(part)
        is_behind = (headers.get("Content-Range") or "").startswith(f"bytes {start}-")
        if not is_behind or _version(headers) not in (None, _read_note(part).get("version")):
            forget(part)
            raise _CutError("the server went on with something else than was asked for")
    elif response.status != 200:
        raise TransferError(f"HTTP {response.status} {response.reason}")
    if "html" in (headers.get_content_type() or ""):
        raise TransferError("a web page is there instead of the file")
    if headers.get("Content-Encoding", "identity") != "identity":
        raise TransferError(f"the server sends it encoded ({headers['Content-Encoding']})")
    if size_range is not None and total is not None and not size_range[0] <= total <= size_range[1]:
        raise TransferError(
            f"a file of {total:,} bytes is there, where one of {size_range[0]:,} to {size_range[1]:,} was expected"
        )
    try:
        if start == 0:
            forget(part)
            _note_file(part).write_text(json.dumps({"url": url, "version": _version(headers)}), "utf-8")
        _check_space(part, (total or 0) - start)
        with part.open("ab") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                start += len(chunk)
                if on_progress is not None:
                    on_progress(start, total)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _disk_error(part, error) from None
    if total is not None and start < total:
        raise _CutError(f"the connection was cut at {start:,} of {total:,} bytes")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What has come, as soon as it comes, so that little is lost with the connection."""
    while True:
        try:
            chunk = response.read1(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _CutError(f"the connection broke ({error or type(error).__name__})") from None
        if not chunk:
            return
        yield chunk


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https, through a proxy of the environment, and nothing else: no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _SafeRedirect(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _total(headers: Message) -> int | None:
    """Bytes of the whole file, as the server says."""
    content_range = headers.get("Content-Range")
    text = content_range.rpartition("/")[2] if content_range else headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _flat(text: str) -> str:
    """urllib's words as a part of our line."""
    return " ".join(text.split()).replace(" - ", ", ")


def _version(headers: Message) -> str | None:
    """What the server calls these very bytes. A weak tag stands for equal meaning only."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _check_space(part: Path, needed: int) -> None:
    if shutil.disk_usage(part.parent).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))


def _disk_error(part: Path, error: OSError) -> CheckpointError:
    what = "no space is left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"not writable ({error.strerror})"
    return CheckpointError(
        f"{part}: {what}, what has arrived is kept - expected room for the rest of the checkpoint - "
        "make room and go on, or set ZOO_CACHE to a folder on another disk"
    )


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _note_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> dict[str, Any]:
    """{} where there is none, or one that a crash left unfinished."""
    try:
        note = json.loads(_note_file(part).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
