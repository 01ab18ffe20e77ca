"""Checkpoint folders that a crash or a full disk cannot destroy.

    model.safetensors   the weights, by the names of `model.state_dict()`
    config.json         what the weights are, for people and for `zoo load`
    trainer.pt          optimiser, progress, running means: plain tensors and numbers; only in `last` and those before

A folder is written beside its place, synced, and renamed into it. Between the two renames the one before stands under
another name (`previous` for `last`), so at every moment one whole checkpoint is there. Nothing in it can run code.
"""

import json
import warnings
import zipfile
import zlib
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
_CHECKSUMS = "crc32"
_NEEDED = f"expected a checkpoint folder with {WEIGHTS} and {CONFIG}"


@dataclass(frozen=True)
class Checkpoints:
    """The `checkpoints` folder of a run: what the training loop saves to."""

    folder: Path
    config: dict[str, Any]
    """The content of every `config.json`, plain JSON values; `clips` and `seconds` of the run so far are added."""
    keep_last: int = 2
    """How many to resume from are kept: `last`, `previous`, `previous-2`, …"""

    def save(self, name: str, model: nn.Module, progress: Progress, trainer: dict[str, Any] | None = None) -> None:
        """Writes `folder/name`; see `save_checkpoint`."""
        config = {**self.config, "clips": progress.clips, "seconds": round(progress.seconds, 2)}
        save_checkpoint(self.folder / name, model.state_dict(), config, trainer, self.keep_last)


def save_checkpoint(
    folder: Path,
    state: dict[str, Tensor],
    config: dict[str, Any],
    trainer: dict[str, Any] | None = None,
    keep_last: int = 2,
) -> None:
    """Writes a checkpoint folder, replacing the one of that name only when the new one is whole on the disk.

    One with a trainer has checksums in its config, and `keep_last` - 1 of those before it are kept.

    Raises:
        CheckpointError: the disk is full or refuses; what was there before is untouched.
    """
    advice = "the checkpoint before it is untouched: make room and resume"
    with disk.refusals_told(folder, advice), disk.temporary_beside(folder) as temporary:
        temporary.mkdir()
        disk.write_tensors(temporary / WEIGHTS, state)
        if trainer is not None:
            disk.write_pickle(temporary / TRAINER, trainer)
            config = {**config, _CHECKSUMS: {name: _checksum(temporary / name) for name in (WEIGHTS, TRAINER)}}
        disk.write_json(temporary / CONFIG, config)
        disk.sync(temporary)
        is_whole = problem_with(folder, resumable=trainer is not None) is None
        if is_whole and (trainer is None or _changed(folder) is None):
            _make_way(folder, keep_last)
        else:
            disk.remove(folder)  # damaged or absent: then the fallback is the whole one, and stays
        temporary.rename(folder)
        disk.sync_names(folder.parent)
        for old in _fallbacks(folder)[keep_last - 1 if folder.name == "last" else 0 :]:
            disk.remove(old)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(state, config) of a checkpoint folder, on the CPU.

    Raises:
        CheckpointError: no such folder, files missing (naming what is there), or damaged.
    """
    problem = problem_with(folder)
    if problem is not None:
        raise CheckpointError(f"{folder}: found {problem} - {_NEEDED} - give another one, or train it again")
    state = safetensors.torch.load_file(folder / WEIGHTS)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config.pop(_CHECKSUMS, None)  # those of these very files, and of no copy
    return state, config


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


def _make_way(folder: Path, keep_last: int) -> None:
    """Moves a whole checkpoint, and those before it, one name on; the one whose name is taken from it is removed."""
    names = [folder, *(_fallback(folder, number) for number in range(1, max(keep_last, 2)))]
    if folder.name != "last":
        names = [folder, _fallback(folder)]
    free = next((number for number, name in enumerate(names) if not name.exists()), len(names) - 1)
    disk.remove(names[free])
    for number in range(free, 0, -1):
        names[number - 1].rename(names[number])


def latest(folder: Path) -> Path | None:
    """The checkpoint to resume from in a run's `checkpoints` folder: `last`, or the newest before it that is whole.

    None when there is neither, because the run was stopped before it saved one: it starts from the beginning.

    Raises:
        CheckpointError: there are some, but none is whole; says what is wrong with each.
    """
    last = folder / "last"
    return find_whole(last, resumable=True) if last.exists() or _fallbacks(last) else None


def find_whole(folder: Path, resumable: bool = False) -> Path:
    """This checkpoint folder, or, with a warning, the newest before it that is whole.

    A resumable one is read as a whole, and held against its checksums.
    """
    problems: dict[str, str] = {}
    for one in (folder, *(_fallbacks(folder) or [_fallback(folder)])):
        problem = problem_with(one, resumable) or (_changed(one) if resumable else None)
        if problem is None:
            if problems:
                told = "; ".join(f"{folder.with_name(name)}: found {what}" for name, what in problems.items())
                warnings.warn(f"{told}; going on with {one.name}", stacklevel=2)
            return one
        problems[one.name] = problem
    told = "; ".join(f"{name}: {what}" for name, what in problems.items())
    raise CheckpointError(
        f"{folder.parent}: found no whole checkpoint ({told}) - "
        f"expected {WEIGHTS}, {CONFIG}{f' and {TRAINER}' if resumable else ''} in one of them - start a new run, "
        f"with another --out, and with init.from=FOLDER where {WEIGHTS} is whole"
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


def _changed(folder: Path) -> str | None:
    """Which file of a checkpoint is not what was written, or None; one without checksums is taken on trust."""
    sums = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get(_CHECKSUMS)
    for name, expected in sums.items() if isinstance(sums, dict) else ():
        if _checksum(folder / name) != expected:
            return f"{name} damaged (its checksum is another)"
    return None


def _checksum(path: Path) -> int:
    """CRC-32 of a file: against decay, not against malice."""
    value = 0
    with path.open("rb") as file:
        while part := file.read(1 << 22):
            value = zlib.crc32(part, value)
    return value


def _fallback(folder: Path, number: int = 1) -> Path:
    """Where a checkpoint stands that was replaced; those of `last` are kept, the others are removed again."""
    if folder.name != "last":
        return folder.with_name(f"previous-{folder.name}")
    return folder.with_name("previous" if number == 1 else f"previous-{number}")


def _fallbacks(folder: Path) -> list[Path]:
    """Those that are there, newest first."""
    if folder.name != "last":
        return [one for one in (_fallback(folder),) if one.exists()]
    numbered = [(1, folder.with_name("previous"))]
    for one in folder.parent.glob("previous-*"):
        number = one.name.removeprefix("previous-")
        if number.isascii() and number.isdecimal():
            numbered.append((int(number), one))
    return [one for _, one in sorted(numbered) if one.exists()]


def _names(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return shown or "nothing"
