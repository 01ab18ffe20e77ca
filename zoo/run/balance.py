"""What makes up for classes of few clips: how often clips are drawn, and what classes weigh in the loss."""

import hashlib

from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest
from zoo.data.sampler import WeightedDraws
from zoo.data.sampling import ShuffleConfig, WeightedConfig, Weights, balanced_weights, check_weights, read_weights
from zoo.objectives.class_weights import ClassWeights
from zoo.objectives.classification import ClassificationConfig
from zoo.recipe import Recipe


def sampling_weights(recipe: Recipe, clips: Manifest, labels: LabelTable | None) -> Weights | None:
    """(clips,) The weight of every training clip; None when each is drawn once.

    Raises: DataError - a file of weights that does not fit, or weights by which nothing can be drawn.
    """
    sampling = recipe.data.sampling
    if isinstance(sampling, ShuffleConfig):
        return None
    if isinstance(sampling, WeightedConfig):
        weights = read_weights(sampling.file, len(clips))
    else:
        assert labels is not None  # a rule of recipes: balanced goes with labels
        weights = balanced_weights(labels.all_places(clips), len(labels), sampling.offset)
    check_weights(weights, sampling.clips_in_epoch(len(clips)), sampling.replacement, clips.source)
    return weights


def weighted_draws(recipe: Recipe, clips: Manifest, labels: LabelTable | None) -> WeightedDraws | None:
    """How the clips of an epoch are drawn; None when each is drawn once. Raises as `sampling_weights`."""
    sampling, weights = recipe.data.sampling, sampling_weights(recipe, clips, labels)
    if weights is None or isinstance(sampling, ShuffleConfig):
        return None
    return WeightedDraws(weights, sampling.clips_in_epoch(len(clips)), sampling.replacement, recipe.seed)


def weights_hash(recipe: Recipe, clips: Manifest) -> str | None:
    """SHA-256 of weights from a file; None without: all else that the drawing depends on is in recipe and manifest."""
    if not isinstance(recipe.data.sampling, WeightedConfig):
        return None
    weights = read_weights(recipe.data.sampling.file, len(clips))
    return hashlib.sha256(weights.astype("<f8").tobytes()).hexdigest()


def class_weights(recipe: Recipe, clips: Manifest | None, labels: LabelTable | None) -> ClassWeights | None:
    """The weights of the classes in the loss, from the training clips; None when all weigh the same."""
    objective, task = recipe.objective, recipe.data.task
    if not isinstance(objective, ClassificationConfig) or clips is None or labels is None or task is None:
        return None
    if objective.class_weights == "none":
        return None
    return objective.weigh(task, labels.counts(clips), len(clips))
