"""The table of a comparison as texts: for terminals of any width, and for a document."""

from collections.abc import Sequence

from zoo.compare.row import Comparison, Row

_NONE = "–"
_MARKS = "¹²³⁴⁵⁶⁷⁸⁹"
_CLIPS = "95 %, clips alone"
_LEFT_OUT_FIRST = (_CLIPS, "train GFLOP/clip", "pretraining", "memory", "clips seen", "GFLOP/clip", "runs", "inference")
"""Titles, in the order in which a narrow terminal does without them."""

Table = tuple[list[str], list[list[str]]]
"""Titles, and a list of texts for each row."""


def flags_of(report: Comparison) -> list[str]:
    """What rows are flagged for, in the order of their marks."""
    return list(dict.fromkeys(flag for row in report.rows for flag in row.flags))


def mark_of(flag: str, flags: Sequence[str]) -> str:
    """The mark that stands at a row and before the remark on it."""
    place = flags.index(flag)
    return _MARKS[place] if place < len(_MARKS) else f"({place + 1})"


def results(report: Comparison) -> Table:
    """What came out: a row for each contender, then the level of chance."""
    flags = flags_of(report)
    tested = any(row.versus is not None for row in report.rows)
    header = ["model", report.metric, "runs"]
    if tested:
        header[2:2] = [f"vs {report.reference}", "95 %", "p", _CLIPS]
    rows = []
    for row in report.rows:
        cells = [_name(row, flags), _value(row), _runs(row)]
        if tested:
            cells[2:2] = _versus(row, row.name == report.reference)
        rows.append(cells)
    if report.chance is not None:
        rows.append(["chance", f"{report.chance:.3f}"] + [_NONE] * (len(header) - 2))
    return header, rows


def costs(report: Comparison) -> Table:
    """What each contender takes."""
    flags = flags_of(report)
    header = ["model", "parameters", "GFLOP/clip", "train GFLOP/clip", "clips seen", "clips/s", "inference", "memory"]
    return [*header, "seconds", "pretraining"], [[_name(row, flags), *_costs(row)] for row in report.rows]


def whole(report: Comparison) -> Table:
    """Results and costs in one table."""
    header, rows = results(report)
    more, cells = costs(report)
    blank = [_NONE] * (len(more) - 1)
    joined = [row + (cells[i][1:] if i < len(cells) else blank) for i, row in enumerate(rows)]
    return header + more[1:], joined


def fitting(report: Comparison, width: int) -> list[Table]:
    """One table where it fits, else results and costs below each other, without what there is no room for."""
    together = whole(report)
    if _width(together) <= width:
        return [together]
    return [_shortened(results(report), width), _shortened(costs(report), width)]


def as_markdown(report: Comparison) -> str:
    """For a document."""
    header, rows = whole(report)
    escaped = [[cell.replace("|", "\\|") for cell in cells] for cells in [header, *rows]]
    lines = ["| " + " | ".join(cells) + " |" for cells in escaped]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join([*lines, "", *(f"- {remark}" for remark in report.remarks)]) + "\n"


def _name(row: Row, flags: Sequence[str]) -> str:
    marks = "".join(mark_of(flag, flags) for flag in flags if flag in row.flags)
    return f"{row.name} {marks}" if marks else row.name


def _value(row: Row) -> str:
    if not row.values:
        return "failed"
    return f"{row.mean:.3f}" + (f" ± {row.deviation:.3f}" if row.deviation is not None else "")


def _runs(row: Row) -> str:
    """`3`, `5 folds × 3 seeds`, `2, 1 failed`."""
    done = str(len(row.values))
    if len(row.folds) > 1:
        seeds = len(set(row.seeds))
        done = f"{len(row.folds)} folds" + (f" × {seeds} seeds" if seeds > 1 else "")
    return done + (f", {len(row.failed)} failed" if row.failed else "")


def _versus(row: Row, is_reference: bool) -> list[str]:
    if is_reference:
        return ["reference", _NONE, _NONE, _NONE]
    versus = row.versus
    if versus is None:
        return [_NONE] * 4
    p = versus.p_corrected
    shown = _NONE if p is None else "< .001" if p < 0.001 else f"{p:.3f}"
    return [f"{versus.difference:+.3f}", _interval(versus.interval), shown, _interval(versus.clips_interval)]


def _interval(found: tuple[float, float] | None) -> str:
    return _NONE if found is None else f"{found[0]:+.3f} … {found[1]:+.3f}"


def _costs(row: Row) -> list[str]:
    known = row.costs
    memory = _NONE
    if known.peak_memory_gib is not None:
        memory = f"{'≈ ' if known.memory_is_estimated else ''}{known.peak_memory_gib:.2f} GiB"
    pretraining = _NONE
    if row.pretraining_clips:
        pretraining = f"{row.pretraining_clips:,} clips, {row.pretraining_seconds:.0f} s"
        if known.pretraining_flops is not None:
            pretraining += f", {known.pretraining_flops / 1e15:.3g} PFLOP"
    elif row.is_of_unknown_cost:
        pretraining = "unknown"
    return [
        f"{row.parameters / 1e6:.2f} M" if row.parameters >= 1e5 else f"{row.parameters / 1e3:.1f} k",
        f"{row.flops_per_clip / 1e9:.2f}",
        _NONE if known.training_flops_per_clip is None else f"{known.training_flops_per_clip / 1e9:.2f}",
        f"{row.clips:,}" if row.clips else _NONE,
        f"{row.clips_per_second:.0f}" if row.clips else _NONE,
        _NONE if known.inference_clips_per_second is None else f"{known.inference_clips_per_second:.0f}/s",
        memory,
        f"{row.seconds:.0f}",
        pretraining,
    ]


def _width(table: Table) -> int:
    """Characters that rich takes for it: a column is padded by one on both sides, with a line between."""
    header, rows = table
    return sum(max(len(cells[i]) for cells in [header, *rows]) + 3 for i in range(len(header))) + 1


def _shortened(table: Table, width: int) -> Table:
    """Without as many columns as it takes."""
    for title in _LEFT_OUT_FIRST:
        header, rows = table
        if _width(table) <= width:
            break
        if title in header:
            kept = [i for i, name in enumerate(header) if name != title]
            table = [header[i] for i in kept], [[cells[i] for i in kept] for cells in rows]
    return table
