"""Charts as SVG files: the same bytes for the same numbers, readable on light and dark pages alike."""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from zoo import disk

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5f3f", "#444444")
"""Okabe and Ito's, which the colour-blind can tell apart, with two more."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MUTED = "#666666"
_STYLE: Any = {
    "svg.hashsalt": "zoo",
    "svg.fonttype": "none",  # texts stay texts: small files
    "text.parse_math": False,  # a model may be called $x$
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.facecolor": "white",
}
_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextlib.contextmanager
def chart(path: Path, panels: int) -> Iterator[list[Axes]]:
    """Gives panels side by side, three in a row, and writes them to `path` when the block ends."""
    columns = min(panels, 3)
    lines = -(-panels // columns)
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that matplotlib's font lacks; browsers have them
        figure = Figure(figsize=(max(5.0, 3.7 * columns), 3.0 * lines), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        axes = list(figure.subplots(lines, columns, squeeze=False).flat)
        for spare in axes[panels:]:
            spare.remove()
        yield axes[:panels]
        buffer = io.StringIO()
        canvas.print_svg(buffer, metadata=_METADATA)
    text = re.sub(r"<!--.*?-->\s*", "", buffer.getvalue(), flags=re.DOTALL)
    with disk.written_whole(path) as file:
        file.write_text(text, encoding="utf-8")


def legend_below(axes: list[Axes]) -> None:
    """One legend for all panels."""
    known: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    named: Any = list(known.values()), list(known)
    axes[0].figure.legend(*named, loc="outside lower center", ncols=_columns(axes))


def _columns(axes: list[Axes]) -> int:
    """Of a legend: texts of some length, without leaving the picture."""
    return 2 if len(axes) == 1 else 3 if len(axes) == 2 else 5


def dotted(axes: Axes, level: float, name: str) -> None:
    """A level that no training moves, such as chance."""
    axes.axhline(level, color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)))
    place = axes.get_yaxis_transform()
    axes.text(0.995, level, name, color=MUTED, fontsize=7.5, ha="right", va="bottom", transform=place)
