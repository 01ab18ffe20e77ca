"""What `zoo ensemble` prints."""

from typing import Any

from rich.table import Table

from zoo.evaluate.metrics import COUNTS
from zoo.use.console import Console
from zoo.use.show.evaluated import metric_text, show_empty_classes


def show_ensemble(console: Console, report: dict[str, Any]) -> None:
    """A row a metric; a column a member, then the ensemble of predictions, that of weights, and chance."""
    members = [member["metrics"] for member in report["members"]]
    joint, of_weights = report["ensemble"], report["weights"]
    columns = {str(number): metrics for number, metrics in enumerate(members, start=1)}
    columns["ensemble"] = joint["metrics"]
    if of_weights:
        columns["mean weights"] = of_weights["metrics"]
    columns["chance"] = joint["chance"]
    table = Table(title=f"{report['num_eval_clips']:,} clips", title_justify="left")
    for index, text in enumerate(("metric", *columns)):
        table.add_column(text, justify="left" if index == 0 else "right", no_wrap=True)
    for name in joint["metrics"]:
        if name not in COUNTS:
            table.add_row(name, *(metric_text(name, metrics) for metrics in columns.values()))
    console.out.print(table)
    for number, member in enumerate(report["members"], start=1):
        console.say(f"{number}: {member['checkpoint']}")
    console.say(f"ensemble: {report['evaluation']}")
    show_empty_classes(console, {**joint, "num_eval_clips": report["num_eval_clips"]})
    for note in report["notes"]:
        console.say(f"• {note}")
    if of_weights and of_weights["path"]:
        console.say(f"mean weights: {of_weights['path']}")
