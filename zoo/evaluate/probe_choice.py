"""A probe with the setting that is chosen on a part of the training clips: no test clip is looked at."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float, Num
from torch import Tensor

from zoo.data.labels import Task
from zoo.errors import DataError
from zoo.evaluate.attention import AttentionConfig, attentive_scores
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.neighbours import neighbour_scores
from zoo.evaluate.probes import linear_scores

Setting = float | int
Kind = Literal["linear", "attentive", "knn"]
KINDS: tuple[Kind, ...] = ("linear", "attentive", "knn")

# The first of a row is taken where there is nothing to choose by; of equally good ones the first is, too.
INVERSE_REGULARISATIONS = (0.1, 0.01, 0.001, 1.0, 10.0)
NEIGHBOURS = (20, 10, 5, 1, 50)


@dataclass(frozen=True)
class Side:
    """Clips as a probe sees them. `tokens` and `is_padded` are for the attentive one, `features` for the others."""

    targets: Num[Tensor, "n cls"]
    features: Float[Tensor, "n embed"] | None = None
    tokens: Num[Tensor, "n token embed"] | None = None
    is_padded: Bool[Tensor, "n token"] | None = None

    def rows(self, chosen: Tensor) -> "Side":
        """Some of the clips."""
        return Side(self.targets[chosen], *(None if x is None else x[chosen] for x in self._inputs()))

    def _inputs(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return self.features, self.tokens, self.is_padded


@dataclass(frozen=True)
class Probed:
    """Scores of the test clips, and the setting that gave them."""

    scores: Float[Tensor, "m cls"]
    setting: dict[str, Setting]


def run_probe(
    kind: Kind,
    train: Side,
    test: Side,
    task: Task,
    is_inner: Bool[Tensor, "n"] | None = None,
    settings: Sequence[Setting] | None = None,
    attention: AttentionConfig | None = None,
) -> Probed:
    """A probe fitted to the training clips.

    Args:
        is_inner: the training clips on which settings are compared, by accuracy or (multi-label) mAP, after a fit to
            the others; the chosen one is then fitted to all. None takes the first setting.
        settings: to choose from: C of the linear probe, k of kNN; None: the usual ones. The attentive has no choice.
        attention: how the attentive probe is trained.

    Raises: DataError - fewer than two classes to learn from.
    """
    if kind == "attentive":
        return Probed(_attentive(train, test, task, attention), {})
    fit: Callable[[Side, Side, Setting], Tensor]
    if kind == "linear":
        name, offered = "C", INVERSE_REGULARISATIONS if settings is None else tuple(settings)
        fit = lambda known, asked, value: linear_scores(  # noqa: E731
            _given(known.features), known.targets, _given(asked.features), task, value
        )
    else:
        name, offered = "k", NEIGHBOURS if settings is None else tuple(settings)
        fit = lambda known, asked, value: neighbour_scores(  # noqa: E731
            _given(known.features), known.targets, _given(asked.features), task, int(value)
        )
    best = offered[0]
    if is_inner is not None and len(offered) > 1:
        known, asked = train.rows(~is_inner), train.rows(is_inner)
        best = _best(offered, lambda value: _worth(fit, known, asked, task, value))
    return Probed(fit(train, test, best), {name: best})


def _best(offered: Sequence[Setting], worth: Callable[[Setting], float]) -> Setting:
    values = [worth(value) for value in offered]
    return offered[values.index(max(values))]


def _worth(fit: Callable[[Side, Side, Setting], Tensor], known: Side, asked: Side, task: Task, value: Setting) -> float:
    try:
        metrics = classification_metrics(fit(known, asked, value), asked.targets, task)
    except DataError:  # one class alone is left to learn from
        return -math.inf
    found = metrics["accuracy" if task == "single-label" else "mAP"]
    return -math.inf if math.isnan(found) else found


def _attentive(train: Side, test: Side, task: Task, config: AttentionConfig | None) -> Tensor:
    known = _given(train.tokens), _given(train.is_padded), train.targets
    return attentive_scores(*known, _given(test.tokens), _given(test.is_padded), task, config).cpu()


def _given(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "a probe without its input"
    return tensor
