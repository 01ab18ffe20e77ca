"""An AST as a folder that `transformers.ASTForAudioClassification` and `ASTFeatureExtractor` load.

Beside their files stands `zoo.json`, from which the zoo reads the model back exactly as it was
(`zoo.weights.formats.hugging_face_config`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.audio.front_ends import FAMILIES, parse_front_end
from zoo.disk import write_json, write_tensors, written_whole
from zoo.errors import CheckpointError
from zoo.train.checkpoint import CONFIG, WEIGHTS
from zoo.weights import epsilon
from zoo.weights.formats.hugging_face import TRUNK, HuggingFace
from zoo.weights.formats.hugging_face_config import (
    PREPROCESSOR,
    SIDECAR,
    unexpressed,
    write_config,
    write_preprocessor,
    write_sidecar,
)

_WHY = {
    "ssast": "an SSAST classifies the mean of its patches, transformers' AST that of CLS and DIST - convert it to "
    "'official'",
    "passt": "a PaSST has a table for frequency and one for time, transformers' AST one for both - add kind=ast, which "
    "writes the sum of the two: the same model for clips of its whole length",
}


def write_hugging_face(out: Path, model: Any, config: Mapping[str, Any]) -> tuple[list[str], float]:
    """Writes the folder.

    Args:
        config: what our own `config.json` would have.

    Returns:
        What a user has to know, a line each; and the largest difference of the logits that one epsilon for trunk and
        head makes, see `epsilon.compare`.

    Raises:
        CheckpointError: transformers has no such model, or the disk refuses.
    """
    numbers = model.config
    problem = _problem(numbers)
    if problem is not None:
        raise CheckpointError(f"{out}: {problem}")
    front_end = parse_front_end(config["front_end"]) if config.get("front_end") else None
    notes = _front_end_notes(front_end, numbers.n_mels)
    difference, note = epsilon.compare(model, numbers.norm_eps, numbers.norm_eps)  # transformers has one for both
    if note is not None:
        notes.append(f"{note}; {SIDECAR} keeps ours")
    state = HuggingFace().export(model.state_dict(), numbers)
    if not numbers.num_classes:  # as ASTModel, which has no prefix, writes them
        state = {name.removeprefix(TRUNK): tensor for name, tensor in state.items()}
    with written_whole(out) as folder:
        folder.mkdir()
        write_tensors(folder / WEIGHTS, state, {"format": "pt"})
        write_json(folder / CONFIG, write_config(numbers, config.get("labels"), config.get("task")))
        extractor = write_preprocessor(front_end or FAMILIES["hf"], numbers.n_mels, numbers.n_frames)
        write_json(folder / PREPROCESSOR, extractor)
        write_sidecar(folder, folder / WEIGHTS, config)
    return notes, difference


def _problem(config: Any) -> str | None:
    """Why transformers' AST has no place for a model of this config; None when it has."""
    if config.kind != "ast":
        why = _WHY.get(config.kind, "transformers has nothing like it - convert it to 'zoo'")
        return f"found a model of kind {config.kind!r} - expected an 'ast', for {why}"
    if config.patch_size[0] != config.patch_size[1]:
        size = "x".join(map(str, config.patch_size))
        return f"found patches of {size} - expected square ones, the only ones of transformers' AST - convert to 'zoo'"
    return None


def _front_end_notes(front_end: Any, n_mels: int) -> list[str]:
    if front_end is None:
        return [f"front end: the checkpoint carries none; {PREPROCESSOR} has ASTFeatureExtractor's defaults"]
    notes = [f"front end: {text}; {SIDECAR} keeps ours" for text in unexpressed(front_end)]
    if front_end.n_mels != n_mels:
        notes.append(f"front end: its n_mels is {front_end.n_mels}; {PREPROCESSOR} has the model's, {n_mels}")
    return notes
