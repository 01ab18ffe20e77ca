"""The table of `zoo bench pretext`."""

from typing import Any

from rich.table import Table

from zoo.use.console import Console

_LEFT = ("form", "way")


def show_bench_pretext(console: Console, report: dict[str, Any]) -> None:
    """What a step of pretraining takes, in each way of taking it."""
    console.say(
        f"{report['device']}, {report['threads']} thread(s) a process, {report['rounds']} rounds in turn of "
        f"{report['steps']} steps; {report['precision']}{', compiled' if report['compiled'] else ''}; "
        f"size {report['size']}, {report['batch']} clips of {report['n_frames']} frames"
    )
    console.say(f"the yardstick, a matrix product: {_small(report['matmul_tflops'])} TFLOP/s")
    table = Table()
    columns = (*_LEFT, "clips/s", "to released", "a core", "masks/s", "GFLOP a clip", "of yardstick", "step MiB")
    for column in columns:
        table.add_column(column, justify="left" if column in _LEFT else "right")
    for row in report["rows"]:
        for way, found in row["ways"].items():
            low, high = found["clips_per_second_spread"]
            table.add_row(
                row["form"],
                way,
                f"{_small(found['clips_per_second'])} ({_small(low)}–{_small(high)})",
                _or_dash(row["ratios"].get(way), "{:.2f}×"),
                _or_dash(row["ratios_per_core"].get(way), "{:.2f}×"),
                _small(found["masks_per_second"]),
                f"{found['flops_per_clip'] / 1e9:,.2f}",
                f"{found['utilisation']:.0%}",
                _or_dash(found["step_mib"], "{:,.0f}"),
            )
    console.out.print(table)
    for row in report["rows"]:
        console.say(f"{row['form']}: {row['masked']} of {row['patches']} patches masked")
    for way, text in report["described"].items():
        console.say(f"{way}: {text}")


def _small(value: float) -> str:
    """Three digits of what may be thousands or thousandths."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
