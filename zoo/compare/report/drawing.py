"""Plots as pieces of the page: SVG whose texts and colours are the page's, so that they follow it into the dark."""

import contextlib
import html
import io
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from zoo.compare.report.markup import Html

INK, MUTED, LINE = "#01f0a1", "#01f0a2", "#01f0a3"
"""Stand-ins: in the page they are the colours of text, of lesser text and of thin lines."""
NUM_COLOURS = 8
ACCENT = "#2f6fb5"
"""Of pictures that lie on light and dark alike."""
DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
"""Contenders of one colour differ in their lines."""
_STYLE: Any = {
    "svg.hashsalt": "zoo",
    "svg.fonttype": "none",  # texts stay texts: small files, the reader's own letters
    "svg.image_inline": True,
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
}
_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def colour(place: int) -> str:
    """The stand-in for the colour of a contender, by its place."""
    return f"#01f0b{place % NUM_COLOURS}"


def dash(place: int) -> str | tuple[int, Sequence[float]]:
    """The line of a contender, by its place."""
    return DASHES[place // NUM_COLOURS % len(DASHES)]


def swatch(place: int) -> str:
    """The classes of the same colour and line in the page's style sheet."""
    return f"c{place % NUM_COLOURS} l{place // NUM_COLOURS % len(DASHES)}"


class Drawing:
    """A figure being drawn, and the element that it becomes."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.svg = Html("")
        """The element, once the block has ended."""

    def axes(self) -> Axes:
        """The only axes of a simple plot."""
        return self.figure.add_subplot()


@contextlib.contextmanager
def drawing(width: float, height: float, told: str) -> Iterator[Drawing]:
    """Gives a figure of so many inches in the style of the page.

    Args:
        told: what the picture shows, for those who cannot see it.
    """
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that matplotlib's font lacks; the browser has them
        figure = Figure(figsize=(width, height), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        made = Drawing(figure)
        yield made
        buffer = io.StringIO()
        canvas.print_svg(buffer, metadata=_METADATA)  # not savefig, which would lay everything out twice
    made.svg = _as_element(buffer.getvalue(), told)


def _as_element(text: str, told: str) -> Html:
    """The `<svg>` of a file, with ids of its own, without a fixed size, in the page's colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL)
    own = f"{zlib.crc32(text.encode()):08x}-"  # two pictures of a page must not share an id
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{own}", text)
    text = re.sub(r"#01f0b(\d)", r"var(--c\1)", text)
    for stand_in, name in ((INK, "ink"), (MUTED, "muted"), (LINE, "line")):
        text = text.replace(stand_in, f"var(--{name})")
    head, rest = text.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None
    label = html.escape(told)
    return Html(
        f'<svg {view.group()} role="img" aria-label="{label}" xmlns:xlink="http://www.w3.org/1999/xlink">{rest}'
    )


def short_number(value: int | float, _position: object = None) -> str:
    """1200 as 1.2k, for the ticks of an axis."""
    size = abs(value)
    for limit, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:.4g}"
