"""How far apart two models are, and whether chance alone would do it.

A trained model's metric is noisy twice: other clips would give another number, and so would another seed (or another
training set, in cross-validation). A test over clips alone takes the luck of a seed for a difference. So the variance
of a difference is put together from both:

- Seeds, one set of clips for all: the model of Obuchowski and Rockette (1995) for several readers of the same cases,
  with runs as readers and clips as cases. The variance of the mean difference over S seeds is the variance between
  seeds over S, plus the covariance that the clips give to different seeds, found by a bootstrap over clips (over whole
  groups, such as speakers, where there are any: Field and Welsh, 2007). The two have other degrees of freedom, S - 1
  and one less than there are clips; their parts of the interval are put together as Howe (1974) has it, which keeps the
  stated rate with two or three seeds, where Satterthwaite's degrees of freedom (Hillis, 2007) do not.
- Folds, other clips in each: the corrected resampled t-test of Nadeau and Bengio (2003) over the folds, with seeds
  averaged first (Bouckaert and Frank, 2004): folds share training clips, so they are no independent repetitions.

Several models against one reference: Holm (1979). docs/comparing.md has the formulas and the simulated rates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int
from scipy.special import stdtr, stdtrit

RESAMPLES = 2_000


@dataclass(frozen=True)
class Difference:
    """What is known about a difference of two models' metrics."""

    value: float
    """The first minus the second."""
    standard_error: float
    interval: tuple[float, float] | None
    """At 95 %; None where nothing varied, so that nothing is known."""
    p_value: float
    """Of there being no difference, two-sided, not yet corrected for several comparisons."""

    @classmethod
    def of(cls, value: float, parts: Sequence[tuple[float, int]]) -> "Difference":
        """By the independent parts of its variance, each with its degrees of freedom; those of 0 variance count not.

        The squared half-width is the sum of each part's own: t² times its variance (Howe, 1974); with one part that is
        Student's interval. p is the level at which the interval would just reach 0. Without any variance p is 1 where
        the two are equal, and NaN, not known, elsewhere.
        """
        known = [(variance, degrees) for variance, degrees in parts if variance > 1e-24]
        error = math.sqrt(sum(variance for variance, _ in known))
        if not known:
            return cls(value, 0.0, None, 1.0 if abs(value) < 1e-12 else math.nan)
        half = _half_width(0.05, known)
        return cls(value, error, (value - half, value + half), _p_value(abs(value), known))


def _half_width(alpha: float, parts: Sequence[tuple[float, int]]) -> float:
    squares = (float(stdtrit(degrees, alpha / 2)) ** 2 * variance for variance, degrees in parts)
    return math.sqrt(sum(squares))


def _p_value(distance: float, parts: Sequence[tuple[float, int]]) -> float:
    """The level at which the half-width is the distance from 0."""
    if len(parts) == 1:
        ((variance, degrees),) = parts
        return 2 * float(stdtr(degrees, -distance / math.sqrt(variance)))
    lowest, highest = math.log(1e-15), 0.0
    if distance >= _half_width(math.exp(lowest), parts):
        return math.exp(lowest)
    found = scipy.optimize.brentq(lambda log: _half_width(math.exp(log), parts) - distance, lowest, highest)
    return math.exp(float(found))


def resampled_counts(
    groups: Int[np.ndarray, "clip"],
    strata: Int[np.ndarray, "clip"] | None = None,
    num: int = RESAMPLES,
    seed: int = 0,
) -> Float[np.ndarray, "resample clip"]:
    """How often each clip is drawn in each bootstrap sample (float32, for matrix products).

    As many groups are drawn as there are, with replacement, each with all of its clips.

    Args:
        groups: the group of each clip, numbered from 0; every clip its own where there are none.
        strata: draw within each of these apart: the folds.
    """
    random = np.random.default_rng(seed)
    strata = np.zeros_like(groups) if strata is None else strata
    counts = np.zeros((num, len(groups)), dtype=np.float32)
    for stratum in np.unique(strata):
        here = np.flatnonzero(strata == stratum)
        names, member = np.unique(groups[here], return_inverse=True)
        size = len(names)
        drawn = random.integers(size, size=(num, size)) + size * np.arange(num)[:, None]
        times = np.bincount(drawn.ravel(), minlength=num * size).reshape(num, size)
        counts[:, here] = times[:, member]
    return counts


def over_seeds(
    values: Float[np.ndarray, "seed"], resampled: Float[np.ndarray, "resample seed"], num_groups: int
) -> Difference:
    """The mean difference of runs paired by seed, all judged on the same clips.

    With one seed the clips alone are accounted for: another seed might give more than the interval says.

    Args:
        values: the difference of each seed.
        resampled: the same on every bootstrap sample of the clips.
        num_groups: of clips that were drawn together; clips where there are no groups.
    """
    num_seeds = len(values)
    covariance = np.cov(resampled, rowvar=False).reshape(num_seeds, num_seeds) * _unbiased(num_groups)
    seeds = float(np.var(values, ddof=1)) / num_seeds if num_seeds > 1 else 0.0
    parts = [(seeds, num_seeds - 1), (_between(covariance), num_groups - 1)]
    return _surest(float(np.mean(values)), parts, (float(covariance.mean()), num_groups - 1))


def over_runs(
    first: tuple[Float[np.ndarray, "run"], Float[np.ndarray, "resample run"]],
    second: tuple[Float[np.ndarray, "other"], Float[np.ndarray, "resample other"]],
    num_groups: int,
) -> Difference:
    """The difference of two means over runs that share no seeds, judged on the same clips.

    As `over_seeds`, with the variance between runs of each model by itself (Welch). A model with one run has none that
    could be known: its luck is not accounted for.

    Args: `first`, `second`: the metrics of a model's runs, and the same on every bootstrap sample of the clips.
    """
    (ours, ours_resampled), (theirs, theirs_resampled) = first, second
    joint = np.cov(np.concatenate([ours_resampled, theirs_resampled], axis=1), rowvar=False) * _unbiased(num_groups)
    size, across = len(ours), 2 * float(joint[: len(ours), len(ours) :].mean())
    clips = max(_between(joint[:size, :size]) + _between(joint[size:, size:]) - across, 0.0)
    alone = float(joint[:size, :size].mean() + joint[size:, size:].mean()) - across
    parts = [(float(np.var(runs, ddof=1)) / len(runs), len(runs) - 1) for runs in (ours, theirs) if len(runs) > 1]
    value = float(np.mean(ours) - np.mean(theirs))
    return _surest(value, [*parts, (clips, num_groups - 1)], (alone, num_groups - 1))


def over_folds(values: Float[np.ndarray, "fold"], test_share: float) -> Difference:
    """The mean difference over folds, of two or more, each averaged over its seeds.

    Args: `test_share`: clips that a fold is judged on, over those that it is trained on: 1 / (k - 1) of k equal folds.
    """
    variance = (1 / len(values) + test_share) * float(np.var(values, ddof=1))
    return Difference.of(float(np.mean(values)), [(variance, len(values) - 1)])


def percentile_interval(resampled: Float[np.ndarray, "resample"]) -> tuple[float, float] | None:
    """The paired bootstrap interval at 95 % over clips alone: of these very models, on other clips of the kind."""
    finite = resampled[np.isfinite(resampled)]
    if len(finite) < 2:
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm's step-down): the chance of any false difference stays below alpha.

    NaN, where there was no test, stays NaN and does not count.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[i] = largest
    return corrected


def _surest(value: float, parts: Sequence[tuple[float, int]], clips_alone: tuple[float, int]) -> Difference:
    """By the parts, but never surer than of these very models on other clips, as seeds that agree by luck would be."""
    found, least = Difference.of(value, parts), Difference.of(value, [clips_alone])
    if found.interval is None or (least.interval is not None and least.interval[1] > found.interval[1]):
        return least
    return found


def _between(covariance: Float[np.ndarray, "run run2"]) -> float:
    """What the draw of clips gives to different runs alike: the mean off the diagonal, or the variance of one run."""
    size = len(covariance)
    if size == 1:
        return float(covariance[0, 0])
    return max(float((covariance.sum() - np.trace(covariance)) / (size * (size - 1))), 0.0)


def _unbiased(num_groups: int) -> float:
    """A bootstrap draws from a sample, whose variance is smaller than the population's by (n - 1) / n."""
    return num_groups / (num_groups - 1) if num_groups > 1 else 1.0
