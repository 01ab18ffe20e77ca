"""What `zoo pack` prints."""

from typing import Any

from rich.table import Table

from zoo.use.console import Console


def show_packed(console: Console, report: dict[str, Any]) -> None:
    """The summary of a pack that was made, finished before, or indexed."""
    if report.get("was_finished"):
        console.say(f"{report['path']}: this pack is finished already; nothing was done")
    if report.get("kept_shards"):
        console.say(f"{report['kept_shards']:,} shards of an earlier attempt were whole, and are kept")
    table = Table(show_header=False, title=report["path"], title_justify="left")
    table.add_row("content", _content(report))
    table.add_row("clips", f"{report['clips']:,}" + ("" if report["labelled"] else ", without labels"))
    if report["members"] != report["clips"]:
        table.add_row("files, some with several clips", f"{report['members']:,}")
    table.add_row("hours", f"{report['hours']:.3f}")
    table.add_row("size", f"{report['bytes'] / 1e6:,.1f} MB in {_count(report['shards'], 'shard')}")
    table.add_row("left out, unusable", f"{report['bad_clips']:,}")
    table.add_row("packed, odd", f"{report['odd_clips']:,}")
    if report["mode"] in ("flac", "wav"):
        clipped = f"{report['clipped_samples']:,} samples in {_count(report['clipped_clips'], 'clip')}"
        table.add_row("cut off at full scale", clipped)
    if "seconds_taken" in report and not report["was_finished"]:
        table.add_row("time", f"{report['seconds_taken']:.1f} s, {report['clips_per_second']:,.0f} clips/s")
    console.out.print(table)
    if report["bad_clips"] or report["odd_clips"]:
        console.say(f"unusable and odd clips: {report['bad_audio']}")
    console.say(f"use it: data.train={report['path']}")


def show_verified(console: Console, report: dict[str, Any]) -> None:
    """The end of `zoo pack --verify` where nothing was wrong."""
    console.say(
        f"{report['pack']}: {report['clips']:,} clips in {_count(report['shards'], 'shard')} "
        f"({report['bytes'] / 1e6:,.1f} MB) are as they were written"
    )


def _content(report: dict[str, Any]) -> str:
    if report["mode"] == "original":
        return "the files as they are"
    if report["mode"] == "features":
        front_end = report["front_end"]
        bands = f"{front_end['kind']}, {front_end['n_mels']} bands"
        return f"log-mels in {report['dtype']}: {bands}, {report['sample_rate']:,} Hz"
    return f"16-bit {report['mode'].upper()}, mono, {report['sample_rate']:,} Hz"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
