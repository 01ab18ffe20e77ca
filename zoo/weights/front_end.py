"""The front end that belongs to a model: by the name of its family, or as a checkpoint carries it."""

from pathlib import Path

from pydantic import ValidationError

from zoo.audio.front_end import AstFrontEndConfig, FrontEnd, FrontEndConfig
from zoo.errors import CheckpointError
from zoo.weights.load import Loaded, read

_FAMILIES = {"ast": AstFrontEndConfig}


def front_end(source: str | Path) -> FrontEnd:
    """Waveform (B, S) to normalised log-mel (B, n_mels, n_frames).

    Args:
        source: a family with its defaults ("ast"), or the run or checkpoint folder whose front end is meant.

    Raises:
        CheckpointError: neither a family nor such a folder.
    """
    if str(source) in _FAMILIES:
        return _FAMILIES[str(source)]().build()
    if not Path(source).exists():
        raise CheckpointError(
            f"front_end: '{source}' is neither a family nor a folder - expected one of {', '.join(_FAMILIES)}, "
            "or a run or checkpoint folder"
        )
    return carried_front_end(read(source)).build()


def carried_front_end(loaded: Loaded) -> FrontEndConfig:
    """The config of the front end that a checkpoint was trained behind. Raises CheckpointError when it has none."""
    where = loaded.folder / "config.json"
    config = loaded.config.get("front_end")
    if not config:
        raise CheckpointError(f"{where}: no front_end - expected the one that the weights were trained behind")
    try:
        return FrontEndConfig.model_validate(config)
    except ValidationError as error:
        raise CheckpointError(
            f"{where}: 'front_end' is none of this zoo ({error.errors()[0]['msg']}) - expected what a zoo run wrote"
        ) from None
