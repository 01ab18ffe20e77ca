"""The front end that belongs to a model: by the name of its family, or as a checkpoint carries it."""

from pathlib import Path

from pydantic import ValidationError

from zoo.audio.front_end import FrontEnd
from zoo.audio.front_ends import FAMILIES, AnyFrontEndConfig, parse_front_end
from zoo.errors import CheckpointError
from zoo.weights.source import Loaded, read


def front_end(source: str | Path) -> FrontEnd:
    """Waveform (B, S) to normalised log-mel (B, n_mels, n_frames).

    Args:
        source: a family with its defaults ("ast", "hf", "passt"), or the checkpoint whose front end is meant: anything
            that `zoo.load` takes.

    Raises:
        CheckpointError: neither a family nor a checkpoint.
    """
    if str(source) in FAMILIES:
        return FAMILIES[str(source)].build()
    try:
        loaded = read(source)
    except CheckpointError as error:
        if Path(source).exists():
            raise
        raise CheckpointError(f"front_end: no family ({', '.join(FAMILIES)}) and no checkpoint - {error}") from None
    return carried_front_end(loaded).build()


def carried_front_end(loaded: Loaded) -> AnyFrontEndConfig:
    """The config of the front end that a checkpoint was trained behind. Raises CheckpointError when it has none."""
    config = loaded.config.get("front_end")
    if not config:
        raise CheckpointError(
            f"{loaded.path}: no front_end - expected the one that the weights were trained behind - "
            "build the front end yourself: zoo.front_end('ast')"
        )
    try:
        return parse_front_end(config)
    except ValidationError as error:
        raise CheckpointError(
            f"{loaded.path}: 'front_end' is none of this zoo ({error.errors()[0]['msg']}) - "
            "expected what a zoo run wrote"
        ) from None
