"""What `zoo report` prints."""

from typing import Any

from zoo.use.console import Console


def show_report(console: Console, report: dict[str, Any]) -> None:
    """What is in the report, what is not yet, and how to look at it."""
    num_runs = sum(len(one["runs"]) for one in report["models"])
    console.say(
        f"models: {len(report['models'])}, runs: {num_runs}: {', '.join(one['name'] for one in report['models'])}"
    )
    for one in report["models"]:
        for folder in one["unfinished"]:
            console.say(f"• {folder}: not finished; go on with --resume")
    console.say(f"wrote {report['report']} ({report['bytes'] / 1e6:.1f} MB): open it in a browser, send it as it is")
