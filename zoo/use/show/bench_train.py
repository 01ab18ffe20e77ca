"""The table of `zoo bench train`."""

from typing import Any

from rich.table import Table

from zoo.use.console import Console

_LEFT = ("family", "from", "way")


def show_bench_train(console: Console, report: dict[str, Any]) -> None:
    """What a training step of each family takes, in each way of doing it."""
    console.say(
        f"{report['device']}, {report['threads']} thread(s) a process, {report['rounds']} rounds in turn of "
        f"{report['steps']} steps; {report['precision']}{', compiled' if report['compiled'] else ''}; "
        f"size {report['size']}, {report['batch']} clips of {report['seconds']:g} s"
    )
    console.say(f"the yardstick, a matrix product: {_small(report['matmul_tflops'])} TFLOP/s")
    if report["audio"] is not None:
        console.say(f"audio: {report['audio']}; {report['workers']} worker(s) a loader")
    table = Table()
    columns = [
        *_LEFT,
        "clips/s",
        "to peer",
        "a core",
        "GFLOP a clip",
        "TFLOP/s",
        "of yardstick",
        "peak MiB",
        "step MiB",
        "waiting",
    ]
    for column in columns:
        table.add_column(column, justify="left" if column in _LEFT else "right")
    for row in report["rows"]:
        for way, found in row["ways"].items():
            low, high = found["clips_per_second_spread"]
            table.add_row(
                row["family"],
                row["from"],
                way,
                f"{_small(found['clips_per_second'])} ({_small(low)}–{_small(high)})",
                _or_dash(row["ratios"].get(way), "{:.2f}×"),
                _or_dash(row["ratios_per_core"].get(way), "{:.2f}×"),
                f"{found['flops_per_clip'] / 1e9:,.1f}",
                _small(found["tflops"]),
                f"{found['utilisation']:.0%}",
                _or_dash(found["peak_memory_mib"], "{:,.0f}"),
                _or_dash(found["step_mib"], "{:,.0f}"),
                _or_dash(found["waiting_share"], "{:.1%}"),
            )
    console.out.print(table)
    for row in report["rows"]:
        for way, text in row["described"].items():
            console.say(f"{row['family']} from {row['from']}, {way}: {text}")
    for family, remark in report["remarks"].items():
        console.say(f"{family}: no peer: {remark}")


def _small(value: float) -> str:
    """Three digits of what may be thousands or thousandths."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
