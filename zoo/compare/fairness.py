"""What makes numbers incomparable, and what makes a comparison lopsided: refused, or flagged at the row.

Refused: that runs were judged on other clips, by other labels, or by weights chosen in another way. Flagged: that more
than the model differs, so that a difference may be due to that.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import DataError

Groups = Mapping[str, Sequence[Mapping[str, Any]]]
"""Name of a contender -> the summaries of its runs."""

NEVER = {
    "task": "the task",
    "labels": "the label table",
}
REFUSED = {
    "judged_manifest": "the evaluation clips (manifest hash)",
    "num_eval_clips": "the number of evaluated clips",
    "judged_on": "the clips that they are judged on (data.test, or data.eval)",
    "select": "how the judged weights are selected (evaluate.select)",
    "evaluation": "the evaluation rule",
}
FLAGGED = {
    "front_end": "the front end",
    "train_manifest": "the training clips (manifest hash)",
    "clips": "the clips seen in training",
    "is_averaged": "whether the weights are averaged",
    "validation": "the clips set aside for watching (data.validation)",
    "precision": "the precision",
    "device": "the device, so that times do not compare",
    "seeds": "the seeds of training",
}
_BY_FOLD = {"judged_manifest", "num_eval_clips", "train_manifest"}
_OF_RUN = re.compile(r" \([^()]* clips\)")  # `(accuracy after 3,200 clips)`: what a rule came to in one run


def rule_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What of a summary has to agree, in a form that does where the rule is the same."""
    words = _OF_RUN.sub("", str(summary.get("evaluation") or ""))
    is_averaged = words.startswith("average of the weights")
    return {
        **{key: summary.get(key) for key in (*NEVER, *FLAGGED)},
        "judged_manifest": summary.get("judged_manifest") or summary.get("eval_manifest"),
        "num_eval_clips": summary.get("num_eval_clips"),
        "judged_on": summary.get("judged_on") or "eval",
        "select": summary.get("select") or "last",
        # Averaging selects nothing, so it belongs to the recipe: flagged, not refused.
        "evaluation": words.replace("average of the weights", "last weights", 1),
        "is_averaged": is_averaged,
    }


def check_comparable(
    groups: Groups, allow_unfair: bool = False, may_differ: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Contender -> in what it differs from the first one although it should not, in words; empty where nothing does.

    Args:
        allow_unfair: flag what would be refused, but for another task, other labels or another metric.
        may_differ: keys of `FLAGGED` that differ by intent.

    Raises: DataError: numbers that mean other things.
    """
    metrics = {str(summary["metric"]) for summaries in groups.values() for summary in summaries}
    if len(metrics) > 1:
        raise DataError(f"compare: the runs were judged by {', '.join(sorted(metrics))} - expected one metric for all")
    rules = {name: [rule_of(summary) for summary in summaries] for name, summaries in groups.items()}
    for key, words in NEVER.items():
        _agree(groups, rules, key, words, "")
    flagged = {}
    for key, words in REFUSED.items():
        if not allow_unfair:
            _agree(groups, rules, key, words, " - or look at them all the same, flagged, with --allow-unfair")
        else:
            flagged[key] = words
    flagged |= {key: words for key, words in FLAGGED.items() if key not in may_differ}
    return differing(groups, flagged)


def check_runs(groups: Groups, excused: Sequence[str] = (), allow_unfair: bool = False) -> None:
    """Refuses runs that are counted twice, and contenders that are judged on other folds than the first.

    Args: `excused`: contenders of which a run failed, and so may lack folds.

    Raises: DataError.
    """
    for name, summaries in groups.items():
        known: dict[tuple[str, str], str] = {}
        for summary in summaries:
            run = (str(summary.get("fold")), str(summary.get("seed")))
            folder = str(summary.get("folder", name))
            if summary.get("seed") is not None and known.setdefault(run, folder) != folder:
                fold = "" if summary.get("fold") is None else f"fold {run[0]}, "
                raise DataError(
                    f"compare: two runs of '{name}' with {fold}seed {run[1]} ({known[run]}, {folder}) - expected each "
                    "once - leave one out, or make two contenders of them"
                )
    folds = {name: {str(summary.get("fold")) for summary in summaries} for name, summaries in groups.items()}
    reference = next(iter(groups))
    for name in [] if allow_unfair or reference in excused else groups:
        if folds[name] != folds[reference] and name not in excused:
            told = "; ".join(f"{one}: {', '.join(sorted(folds[one]))}" for one in (reference, name))
            raise DataError(
                f"compare: the runs are judged on other folds - {told} - expected the same for all, else numbers "
                "mislead - or look at them all the same, flagged, with --allow-unfair"
            )


def differing(groups: Groups, keys: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Contender -> the words of the keys in which it differs from the first contender."""
    reference, *others = groups
    seen = {name: _values(groups[name], list(keys)) for name in groups}
    found: dict[str, tuple[str, ...]] = {reference: ()}
    for name in others:
        found[name] = tuple(words for key, words in keys.items() if seen[name][key] != seen[reference][key])
    return found


def _values(summaries: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, set[str]]:
    """What each key is over the runs of a contender; of what depends on the fold, with the fold."""
    found: dict[str, set[str]] = {key: set() for key in keys}
    for summary in summaries:
        rule = {**rule_of(summary), "seeds": summary.get("seed")}
        for key in keys:
            fold = summary.get("fold") if key in _BY_FOLD else None
            found[key].add(json.dumps([fold, rule[key]], default=str, sort_keys=True))
    return found


def _agree(groups: Groups, rules: Mapping[str, Sequence[Mapping[str, Any]]], key: str, words: str, advice: str) -> None:
    """Raises DataError where the key is not the same in all runs (of a fold, where it depends on that)."""
    seen: dict[str, dict[str, str]] = {}
    for name, summaries in groups.items():
        for summary, rule in zip(summaries, rules[name], strict=True):
            if rule[key] in (None, ""):
                continue  # of a run to come, not known yet
            fold = str(summary.get("fold")) if key in _BY_FOLD else ""
            seen.setdefault(fold, {}).setdefault(str(rule[key]), name)
    for values in seen.values():
        if len(values) > 1:
            found = "; ".join(f"{name}: {value[:60]}" for value, name in list(values.items())[:3])
            raise DataError(
                f"compare: the runs differ in {words} - {found} - expected one for all, else numbers mislead{advice}"
            )
