"""The page around the parts: one file, nothing from elsewhere, no script."""

import time
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from zoo import __version__
from zoo.compare.report.collect import Contender, values_of
from zoo.compare.report.markup import Html, join, tag

_TITLES = {
    "result": "Result",
    "curves": "Curves",
    "compute": "Compute",
    "classes": "Classes",
    "confusion": "Confusions",
    "clips": "Hardest clips",
    "pretext": "Masked patches",
    "health": "Speed and health",
    "recipes": "Recipes",
    "runs": "Runs",
}


def page(
    title: str,
    contenders: Sequence[Contender],
    sections: Mapping[str, Html],
    metric: str | None,
    chance: float | None,
) -> str:
    """The whole document; sections that are empty are left out, of the menu too."""
    there = {name: part for name, part in sections.items() if part}
    links = (tag("li", tag("a", _TITLES[name], href=f"#{name}")) for name in there)
    menu = tag("nav", tag("ul", *links), aria_label="Parts")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(resources.files("zoo.compare.report").joinpath("page.css").read_text(encoding="utf-8"))),
    )
    top = tag(
        "header",
        tag("h1", title),
        tag("p", _lead(contenders, metric, chance), class_="lead"),
        tag("p", _facts(contenders), class_="facts"),
    )
    body = tag("body", top, menu, tag("main", *there.values()), _footer(contenders))
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def _lead(contenders: Sequence[Contender], metric: str | None, chance: float | None) -> str:
    """What the table comes to, in a sentence that claims no more than it shows."""
    found = {one.name: values_of(one, metric) for one in contenders} if metric else {}
    means = {name: sum(values) / len(values) for name, values in found.items() if values}
    if not means:
        return "No run has been judged yet: curves and recipes so far."
    is_loss = metric == "loss"
    best = (min if is_loss else max)(means, key=lambda name: means[name])
    num_runs = len(found[best])
    over = f", mean of {num_runs} runs" if num_runs > 1 else ", one run"
    told = f"{best}: {metric} {means[best]:.3f}{over}"
    if len(means) > 1:
        told = f"{'Lowest' if is_loss else 'Highest'} of {len(means)}: {told}"
    return told + (f". Chance is {chance:.3f}." if chance is not None else ".")


def _facts(contenders: Sequence[Contender]) -> Html:
    """What was judged on what, and how."""
    summaries = [run.summary for one in contenders for run in one.finished if run.summary]
    facts = [f"{len(contenders)} models" if len(contenders) > 1 else "1 model"]
    num_runs = sum(len(one.runs) for one in contenders)
    facts.append(f"{num_runs} runs" if num_runs > 1 else "1 run")
    folds = {str(s["judged_manifest"]) for s in summaries if s.get("judged_manifest")}
    each = " a fold" if len(folds) > 1 else ""
    if each:
        facts.append(f"{len(folds)} folds")
    for key, form in (("num_eval_clips", f"{{:,}} judged clips{each}"), ("num_train_clips", "{:,} training clips")):
        values = sorted({int(s[key]) for s in summaries if isinstance(s.get(key), int) and s[key]})
        if values:
            told = form.format(values[-1])
            facts.append(told if len(values) == 1 else f"{values[0]:,} to {told}")
    on = sorted({str(s["judged_on"]) for s in summaries if s.get("judged_on")})
    if on:
        words = {"eval": "the watched clips", "test": "test clips"}
        facts.append("judged on " + " and ".join(words.get(name, name) for name in on))
    facts += sorted({str(s["evaluation"]) for s in summaries if s.get("evaluation")})[:2]
    return Html(" · ".join(join([fact]) for fact in facts))


def _footer(contenders: Sequence[Contender]) -> Html:
    """Date, versions, devices and hashes: what a reader needs to trust or repeat it."""
    summaries = [run.summary for one in contenders for run in one.finished if run.summary]
    lines = [f"Written {time.strftime('%Y-%m-%d %H:%M')} by spectrogram-zoo {__version__}."]
    versions: dict[str, dict[str, None]] = {}
    for summary in summaries:
        for name, value in (summary.get("versions") or {}).items():
            versions.setdefault(str(name), {})[str(value)] = None
    if versions:
        each = (f"{name} {' / '.join(values)}" for name, values in versions.items())
        lines.append(f"Trained with {', '.join(each)}.")
    for title, key in (("Device", "device"), ("Code", "code"), ("Judged clips, hash", "judged_manifest")):
        found = list(dict.fromkeys(str(s[key]) for s in summaries if s.get(key)))
        if not found and key == "judged_manifest":
            found = list(dict.fromkeys(str(s["eval_manifest"]) for s in summaries if s.get("eval_manifest")))
        if found:
            lines.append(f"{title}: {', '.join(value[:16] if 'hash' in title else value for value in found[:6])}.")
    return tag("footer", *(tag("p", line) for line in lines))


def default_title(contenders: Sequence[Contender], comparison: Mapping[str, Any] | None, metric: str | None) -> str:
    """Of a page that was not given one."""
    names = [one.name for one in contenders]
    if len(names) == 1:
        return names[0]
    if len(names) <= 3:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{len(names)} models by {metric}" if metric else f"{len(names)} models"
