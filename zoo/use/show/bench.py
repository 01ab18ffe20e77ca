"""Tables of what `zoo bench` measured."""

from typing import Any

from rich.table import Table

from zoo.use.console import Console
from zoo.use.show.bench_pretext import show_bench_pretext
from zoo.use.show.bench_train import show_bench_train


def show_bench(console: Console, report: dict[str, Any]) -> None:
    """Any report of `zoo bench`."""
    {
        "frontend": _show_speed,
        "loader": _show_speed,
        "manifest": _show_manifest,
        "crop": _show_crop,
        "train": show_bench_train,
        "pretext": show_bench_pretext,
    }[report["what"]](console, report)


def _show_speed(console: Console, report: dict[str, Any]) -> None:
    console.say(f"{report['device']}, {report['threads']} thread(s) a process, {report['rounds']} rounds in turn")
    if "audio" in report:
        console.say(f"audio: {report['audio']}; {report['clips']} clips of {report['seconds']:g} s a format")
    console.say(f"peer: {report['peer']}")
    table = Table()
    labels = [key for key in ("format", "workers") if key in report["rows"][0]]
    for column in [*labels, "clips/s", "peer", "ratio", "clips/s a core", "peer", "ratio", "peak MiB", "peer"]:
        table.add_column(column, justify="left" if column == "format" else "right")
    for row in report["rows"]:
        ours, peer = row["ours"], row["peer"] or {}
        table.add_row(
            *[str(row[key]) for key in labels],
            _spread(ours, "clips_per_second"),
            _spread(peer, "clips_per_second"),
            _times(row["ratio"]),
            _spread(ours, "clips_per_core_second"),
            _spread(peer, "clips_per_core_second"),
            _times(row["ratio_per_core"]),
            _number(ours["peak_memory_mib"]),
            _number(peer.get("peak_memory_mib")),
        )
    console.out.print(table)
    _show_stages(console, report["rows"])
    if report.get("difference") is not None:
        console.say(f"largest difference between the two log-mels: {report['difference']:.2g}")
    if report["remark"]:
        console.say(f"no peer: {report['remark']}")


def _show_stages(console: Console, rows: list[dict[str, Any]]) -> None:
    measured = [row for row in rows if row["ours"].get("stages_ms")]
    if not measured:
        return
    table = Table(title="processor milliseconds a clip")
    names = list(measured[0]["ours"]["stages_ms"])
    for column in ["format", "way", *names, "bound by"]:
        table.add_column(column, justify="left" if column in ("format", "way", "bound by") else "right")
    for row in measured:
        for way in ("ours", "peer"):
            if row[way]:
                stages = row[way]["stages_ms"]
                cells = [f"{stages[name]:.2f}" if name in stages else "–" for name in names]
                table.add_row(row["format"], way, *cells, max(stages, key=lambda name: stages[name]))
    console.out.print(table)


def _show_manifest(console: Console, report: dict[str, Any]) -> None:
    console.say(
        f"{report['rows']:,} rows ({report['megabytes']:.0f} MB) read in {report['read_seconds']:.1f} s; "
        f"loader made in {report['make_loader_seconds']:.1f} s; "
        f"first batch of {report['workers']} worker(s) after {report['first_batch_seconds']:.1f} s"
    )
    stages = ("before", "read", "loader")
    sizes = [_number(report[f"memory_{stage}_mib"]) for stage in stages] + [_number(report["peak_memory_mib"])]
    console.say("main process, MiB: {} before, {} with the manifest, {} with the loader, {} at its peak".format(*sizes))
    table = Table(title="memory, MiB")
    for column in ("after clips", "main", "each worker alone", "each worker with its share"):
        table.add_column(column, justify="right")
    for point in report["points"]:
        table.add_row(
            f"{point['clips']:,}",
            _number(point["main_mib"]),
            " ".join(_number(value) for value in point["workers_own_mib"]) or "–",
            " ".join(_number(value) for value in point["workers_share_mib"]) or "–",
        )
    console.out.print(table)
    console.say(f"{report['clips_per_second']:.0f} clips a second (tiny files)")


def _show_crop(console: Console, report: dict[str, Any]) -> None:
    console.say(
        f"{report['device']}; {report['seconds']:g} s at {report['crops']} random places; audio: {report['audio']}"
    )
    table = Table(title="processor milliseconds a crop: median (worst)")
    for column in ("format", "hours", "MB", "long file", "short file", "ratio", "kB read"):
        table.add_column(column, justify="left" if column == "format" else "right")
    for row in report["rows"]:
        long, short = row["long"], row["short"]
        read = long["bytes_read"]
        table.add_row(
            row["format"],
            f"{row['hours']:.2f}",
            _number(row["megabytes"]),
            f"{long['ms']:.2f} ({long['ms_worst']:.2f})",
            f"{short['ms']:.2f} ({short['ms_worst']:.2f})",
            _times(long["ms"] / short["ms"] if short["ms"] else None),
            _number(None if read is None else read / 1e3),
        )
    console.out.print(table)


def _spread(found: dict[str, Any], key: str) -> str:
    """`310 (295–318)`"""
    value = found.get(key)
    if value is None:
        return "–"
    low, high = found[f"{key}_spread"]
    return f"{value:.0f} ({low:.0f}–{high:.0f})"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}×"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
