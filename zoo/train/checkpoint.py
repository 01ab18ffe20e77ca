"""Checkpoint folders that a crash or a full disk cannot destroy.

    model.safetensors   the weights, by the names of `model.state_dict()`
    config.json         what the weights are, for people and for `zoo load`
    trainer.pt          optimiser, progress, running means: plain tensors and numbers; only in `last`

A folder is written beside its place, synced, and renamed into it. Between the two renames the one before stands under
another name (`previous` for `last`), so at every moment one whole checkpoint is there. Nothing in it can run code.
"""

import json
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from zoo import disk
from zoo.errors import CheckpointError
from zoo.train.plan import Progress

WEIGHTS, CONFIG, TRAINER = "model.safetensors", "config.json", "trainer.pt"
_NEEDED = f"expected a checkpoint folder with {WEIGHTS} and {CONFIG}"


@dataclass(frozen=True)
class Checkpoints:
    """The `checkpoints` folder of a run: what the training loop saves to."""

    folder: Path
    config: dict[str, Any]
    """The content of every `config.json`, plain JSON values; `clips` and `seconds` of the run so far are added."""

    def save(self, name: str, model: nn.Module, progress: Progress, trainer: dict[str, Any] | None = None) -> None:
        """Writes `folder/name`; see `save_checkpoint`."""
        config = {**self.config, "clips": progress.clips, "seconds": round(progress.seconds, 2)}
        save_checkpoint(self.folder / name, model.state_dict(), config, trainer)


def save_checkpoint(
    folder: Path, state: dict[str, Tensor], config: dict[str, Any], trainer: dict[str, Any] | None = None
) -> None:
    """Writes a checkpoint folder, replacing the one of that name only when the new one is whole on the disk.

    Raises:
        CheckpointError: the disk is full or refuses; what was there before is untouched.
    """
    fallback, advice = _fallback(folder), "the checkpoint before it is untouched: make room and resume"
    with disk.refusals_told(folder, advice), disk.temporary_beside(folder) as temporary:
        temporary.mkdir()
        disk.write_tensors(temporary / WEIGHTS, state)
        disk.write_json(temporary / CONFIG, config)
        if trainer is not None:
            disk.write_pickle(temporary / TRAINER, trainer)
        disk.sync(temporary)
        if problem_with(folder, resumable=trainer is not None) is None:
            disk.remove(fallback)
            folder.rename(fallback)
        else:
            disk.remove(folder)  # damaged or absent: then the fallback is the whole one, and stays
        temporary.rename(folder)
        disk.sync_names(folder.parent)
        if fallback.name != "previous":
            disk.remove(fallback)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(state, config) of a checkpoint folder, on the CPU.

    Raises:
        CheckpointError: no such folder, files missing (naming what is there), or damaged.
    """
    problem = problem_with(folder)
    if problem is not None:
        raise CheckpointError(f"{folder}: found {problem} - {_NEEDED} - give another one, or train it again")
    state = safetensors.torch.load_file(folder / WEIGHTS)
    return state, json.loads((folder / CONFIG).read_text(encoding="utf-8"))


def load_trainer(folder: Path) -> dict[str, Any]:
    """What `fit` needs to go on from a checkpoint. Raises CheckpointError: missing or damaged."""
    problem = problem_with(folder, resumable=True)
    if problem is None:
        try:
            return torch.load(folder / TRAINER, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file raises nearly anything: EOFError, RuntimeError, UnpicklingError
            problem = f"{TRAINER} damaged ({disk.reason(error)})"
    raise CheckpointError(
        f"{folder}: found {problem} - expected {TRAINER} beside {WEIGHTS}, which only 'last' and 'previous' have - "
        "resume from one of these"
    )


def latest(folder: Path) -> Path | None:
    """The checkpoint to resume from in a run's `checkpoints` folder: `last`, or `previous` if `last` is not whole.

    None when there is neither, because the run was stopped before it saved one: it starts from the beginning.

    Raises:
        CheckpointError: there is one or the other, but none is whole; says what is wrong with each.
    """
    last = folder / "last"
    return find_whole(last, resumable=True) if last.exists() or _fallback(last).exists() else None


def find_whole(folder: Path, resumable: bool = False) -> Path:
    """This checkpoint folder, or, with a warning, the one that it was replacing when something went wrong."""
    problem = problem_with(folder, resumable)
    if problem is None:
        return folder
    fallback = _fallback(folder)
    problem_before = problem_with(fallback, resumable)
    if problem_before is None:
        warnings.warn(f"{folder}: found {problem}; going on with {fallback.name}", stacklevel=2)
        return fallback
    raise CheckpointError(
        f"{folder.parent}: found no whole checkpoint ({folder.name}: {problem}; {fallback.name}: {problem_before}) - "
        f"expected {WEIGHTS}, {CONFIG}{f' and {TRAINER}' if resumable else ''} in one of them - start the run afresh"
    )


def problem_with(folder: Path, resumable: bool = False) -> str | None:
    """Why a folder is no whole checkpoint, or None. Reads headers only, so it costs nothing to ask.

    Every file was synced before it was renamed into place: what can be wrong later is that it is missing or cut short.
    """
    if not folder.is_dir():
        beside = _names(folder.parent) if folder.parent.is_dir() else "nothing"
        return f"{'a file' if folder.exists() else 'no such folder'}, beside it {beside}"
    missing = [name for name in (WEIGHTS, CONFIG, *([TRAINER] if resumable else [])) if not (folder / name).is_file()]
    if missing:
        return f"{_names(folder)}, without {' and '.join(missing)}"
    try:
        with safetensors.safe_open(folder / WEIGHTS, framework="pt"):  # checks the header against the file's size
            pass
    except (OSError, safetensors.SafetensorError) as error:
        return f"{WEIGHTS} damaged ({disk.reason(error)})"
    try:
        if not isinstance(json.loads((folder / CONFIG).read_text(encoding="utf-8")), dict):
            return f"{CONFIG} damaged (no mapping)"
    except (OSError, ValueError) as error:
        return f"{CONFIG} damaged ({disk.reason(error)})"
    if resumable and not zipfile.is_zipfile(folder / TRAINER):  # its directory is at the very end
        return f"{TRAINER} damaged (cut short)"
    return None


def _fallback(folder: Path) -> Path:
    """Where a checkpoint stands while it is replaced; `previous` is kept, the others are removed again."""
    return folder.with_name("previous" if folder.name == "last" else f"previous-{folder.name}")


def _names(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return shown or "nothing"
