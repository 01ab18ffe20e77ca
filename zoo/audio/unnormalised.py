"""Log-mels before normalisation: what is stored of features, so that mean and deviation stay with the recipe."""

from typing import Any

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.front_ends import AnyFrontEndConfig

_NORMALISING = ("mean", "std", "normalise", "pad")
_EDGES = ("f_min", "f_max", "f_min_range", "f_max_range")


def without_normalisation(config: AnyFrontEndConfig) -> AnyFrontEndConfig:
    """The same front end, with the log-mel itself as its result, bit for bit what it would normalise."""
    if isinstance(config, AstFrontEndConfig):
        return config.model_copy(update={"normalise": "none"})
    return config.model_copy(update={"mean": 0.0, "std": 0.5})  # (x - 0) / (2 * 0.5)


def log_mel_differences(one: AnyFrontEndConfig, other: AnyFrontEndConfig) -> dict[str, tuple[Any, Any]]:
    """The fields, with both values, in which two front ends give other log-mels before normalisation.

    Band edges are compared as they are in evaluation: what PaSST draws around them in training is in no stored
    log-mel.
    """
    ours, theirs = _what_counts(one), _what_counts(other)
    return {
        field: (ours.get(field), theirs.get(field))
        for field in {**ours, **theirs}
        if ours.get(field) != theirs.get(field)
    }


def _what_counts(config: AnyFrontEndConfig) -> dict[str, Any]:
    fields = {key: value for key, value in config.model_dump(mode="json").items() if key not in _NORMALISING + _EDGES}
    low, high = config.band_limits
    return {**fields, "f_min": low, "f_max": high}
