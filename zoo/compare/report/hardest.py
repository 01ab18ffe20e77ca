"""Which clips the models find hardest: those that most of them get wrong, and of these the most expensive ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from zoo.compare.report.per_class import Judged, lay_out
from zoo.data.labels import Task
from zoo.evaluate.predictions import Predictions


@dataclass(frozen=True)
class Answer:
    """What one model says of a clip, over its runs."""

    label: str
    """The likeliest, by the mean of its probabilities."""
    probability: float
    of_truth: float
    """Mean probability of what the clip is; of several classes, the least of them."""
    num_right: int
    num_runs: int


@dataclass(frozen=True)
class HardClip:
    """A clip, what it is, and what every model says."""

    name: str
    truth: tuple[str, ...]
    answers: tuple[Answer | None, ...]
    """One a model; None where it did not judge the clip."""
    share_wrong: float
    """Of the runs, each model counting alike. Of several classes, a run is right when the likeliest one is true."""
    loss: float
    """Mean over models: cross-entropy, in nats."""


def hardest_clips(models: Sequence[Sequence[Predictions]], count: int) -> list[HardClip]:
    """The hardest first. Clips that only some models judged count by those.

    Args:
        models: the predictions of every model's runs, all with the same labels and task; a model may have none.
    """
    there = [several for several in models if several]
    if not there:
        return []
    labels, task = there[0][0].labels, there[0][0].task
    laid = [lay_out(several) if several and several[0].labels == labels else None for several in models]
    names = tuple(dict.fromkeys(name for one in laid if one is not None for name in one.names))
    place = {name: i for i, name in enumerate(names)}
    wrong, losses = np.full((len(models), len(names)), np.nan), np.full((len(models), len(names)), np.nan)
    for row, one in enumerate(laid):
        if one is not None:
            at = [place[name] for name in one.names]
            is_right, loss = _judge(one, task)
            wrong[row, at], losses[row, at] = 1 - _mean_over_runs(is_right), _mean_over_runs(loss)
    share_wrong, loss = _mean_over_runs(wrong), _mean_over_runs(losses)
    order = np.lexsort((-loss, -share_wrong))[:count]
    return [_describe(names[i], laid, labels, task, float(share_wrong[i]), float(loss[i])) for i in order]


def probabilities(scores: Float[np.ndarray, "*rows cls"], task: Task) -> Float[np.ndarray, "*rows cls"]:
    """Of logits, in float64."""
    scores = scores.astype(np.float64)
    if task == "multi-label":
        return np.exp(-np.logaddexp(0, -scores))
    return np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))


def _judge(model: Judged, task: Task) -> tuple[Float[np.ndarray, "run clip"], Float[np.ndarray, "run clip"]]:
    """Whether the likeliest class is true (1 or 0), and the loss; NaN where a run did not judge a clip."""
    targets = model.targets
    is_right, losses = (np.full(model.scores.shape[:2], np.nan) for _ in range(2))
    for row, run in enumerate(model.scores):  # one at a time: all of AudioSet is a lot of numbers
        at = np.flatnonzero(np.isfinite(run[:, 0]))
        scores, true = run[at].astype(np.float64), targets[at]
        is_right[row, at] = np.take_along_axis(true, scores.argmax(axis=1)[:, None], axis=1)[:, 0]
        if task == "single-label":
            losses[row, at] = np.logaddexp.reduce(scores, axis=1) - (scores * true).sum(axis=1)
        else:
            losses[row, at] = (np.logaddexp(0, scores) - scores * true).mean(axis=1)
    return is_right, losses


def _mean_over_runs(values: Float[np.ndarray, "run clip"]) -> Float[np.ndarray, "clip"]:
    """Of those that are there; every clip was judged by one at least."""
    there = np.isfinite(values)
    return np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)


def _describe(
    name: str,
    laid: Sequence[Judged | None],
    labels: Sequence[str],
    task: Task,
    share_wrong: float,
    loss: float,
) -> HardClip:
    truth: tuple[str, ...] = ()
    answers: list[Answer | None] = []
    for one in laid:
        if one is None or name not in one.names:
            answers.append(None)
            continue
        at = one.names.index(name)
        true = np.flatnonzero(one.targets[at] > 0.5)
        truth = truth or tuple(labels[int(c)] for c in true)
        rows = one.scores[np.isfinite(one.scores[:, at, 0]), at]
        mean = probabilities(rows, task).mean(axis=0)
        likeliest = int(mean.argmax())
        answers.append(
            Answer(
                labels[likeliest],
                float(mean[likeliest]),
                float(mean[true].min()) if len(true) else 0.0,
                int(np.isin(rows.argmax(axis=1), true).sum()),
                len(rows),
            )
        )
    return HardClip(name, truth, tuple(answers), share_wrong, loss)
