"""HTML out of texts, none of which can become markup by accident."""

import html
from collections.abc import Iterable

_VOID = frozenset({"br", "img", "link", "meta", "source"})


class Html(str):
    """Text that is markup already; any other text is escaped where it enters a page."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | int | bool | None) -> Html:
    """An element: `tag("a", "next", href="#x", class_="big")`.

    Args:
        children: texts, escaped unless they are `Html`.
        attributes: `_` at the end is dropped, `_` within becomes `-`; True stands alone, None and False are left out.
    """
    written = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Html:
    """One after the other; what is no markup is escaped."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in parts))


def table(header: Iterable[str], rows: Iterable[Iterable[str]], **attributes: str | int | bool | None) -> Html:
    """A table that scrolls by itself where it is wider than the page. The first cell of a row names the row."""
    head = tag("tr", *(tag("th", title, scope="col") for title in header))
    body = (
        tag("tr", *(tag("td", cell) if index else tag("th", cell, scope="row") for index, cell in enumerate(cells)))
        for cells in rows
    )
    inside = tag("table", tag("thead", head), tag("tbody", *body), **attributes)
    return tag("div", inside, class_="scroll", tabindex=0)


def details(title: str, *children: str, is_open: bool = False) -> Html:
    """What is folded until somebody asks for it."""
    return tag("details", tag("summary", title), *children, open=is_open)


def section(anchor: str, title: str, how_to_read: str, *children: str) -> Html:
    """A part of the page: a heading, a sentence on how to read it, and what there is to see."""
    return tag("section", tag("h2", title), tag("p", how_to_read, class_="how"), *children, id=anchor)


def _name(key: str) -> str:
    return key.removesuffix("_").replace("_", "-")
