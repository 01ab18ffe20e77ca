"""Files and folders that stand under their name only when they are whole.

They are written beside their place, synced, and renamed into it. What the disk refuses is told in one line; any other
error inside these blocks passes as it is, with its traceback.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from zoo.errors import CheckpointError


@contextlib.contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """Gives a name to write a file or folder to, and puts that in the place of `out` when the block ends.

    A file gives way to it, and so does an empty folder; another folder is refused. On any failure `out` is as it was.

    Raises:
        CheckpointError: the disk is full or refuses.
    """
    with refusals_told(out, "make room, or choose another place"), temporary_beside(out) as temporary:
        yield temporary
        sync(temporary)
        if out.is_dir():
            out.rmdir()  # an empty one, else this refuses
        temporary.replace(out)
        sync_names(out.parent)


@contextlib.contextmanager
def refusals_told(place: Path, advice: str) -> Iterator[None]:
    """Raises CheckpointError, with what to do, where the block raises OSError; other errors are none of the disk's."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{place}: found no way to write it ({reason(error)}) - expected a disk with space and permission - "
            f"{advice}"
        ) from error


@contextlib.contextmanager
def temporary_beside(place: Path) -> Iterator[Path]:
    """A free name in the folder of `place`, which is made. What the block leaves there when it fails is removed.

    After a kill it stays, and the next attempt removes it.
    """
    temporary = place.with_name(f".{place.name}.writing")
    place.parent.mkdir(parents=True, exist_ok=True)
    remove(temporary)
    try:
        yield temporary
    except (Exception, KeyboardInterrupt):
        with contextlib.suppress(OSError):
            remove(temporary)
        raise


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """JSON as all of our files have it: for people too."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tensors(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """A file of safetensors. Raises OSError: the disk is full or refuses."""
    tensors = independent(state)
    try:
        safetensors.torch.save_file(tensors, path, metadata)
    except safetensors.SafetensorError as error:  # so it reports what the disk refused
        raise OSError(reason(error)) from error


def write_pickle(path: Path, value: Any) -> None:
    """A file of `torch.save`. Raises OSError: the disk is full or refuses."""
    with path.open("wb") as file:  # given a path, torch would not say what the disk refused
        try:
            torch.save(value, file)
        except RuntimeError as error:  # torch's own, while it closes an archive that could not be written
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def independent(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU: no file format likes views, nor memory that two names share (tied weights)."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }


def sync(path: Path) -> None:
    """Waits until a file, or a folder with all that is in it, is on the disk."""
    for inside in path.iterdir() if path.is_dir() else ():
        sync(inside)
    sync_names(path)


def sync_names(path: Path) -> None:
    """Waits until one file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Removes a file or a whole folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def reason(error: BaseException) -> str:
    """What an error says, on one line."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
