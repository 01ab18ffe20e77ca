"""The front end that belongs to a model: by the name of its family, or as a checkpoint carries it."""

from pathlib import Path

from zoo.audio.front_end import FrontEnd
from zoo.audio.front_ends import FAMILIES, AnyFrontEndConfig
from zoo.errors import CheckpointError
from zoo.weights.loaded import Loaded
from zoo.weights.source import read


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
        return carried_front_end(read(source)).build()
    except CheckpointError as error:
        if Path(source).exists():
            raise
        raise CheckpointError(f"{error}; or a family: {', '.join(FAMILIES)}") from None


def carried_front_end(loaded: Loaded) -> AnyFrontEndConfig:
    """The config of the front end that a checkpoint was trained behind. Raises CheckpointError when it has none."""
    config = loaded.front_end
    if config is None:
        raise CheckpointError(
            f"{loaded.path}: no front_end - expected the one that the weights were trained behind - "
            "build the front end yourself: zoo.front_end('ast')"
        )
    return config
