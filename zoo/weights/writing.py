"""A file or folder that appears under its name only when it is whole."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from zoo.errors import CheckpointError


@contextlib.contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """Gives a name beside `out` to write to, and renames it when the block ends; on any failure nothing stays.

    Raises:
        CheckpointError: the disk is full or refuses.
    """
    temporary = out.with_name(f".{out.name}.writing")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        if out.is_dir():
            out.rmdir()  # an empty one, else this refuses
        temporary.rename(out)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:  # torch reports a full disk as RuntimeError
        raise CheckpointError(
            f"{out}: found no way to write it ({' '.join(str(error).split()) or type(error).__name__}) - "
            "expected a disk with space and permission - make room, or choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(temporary)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """JSON as all of our files have it: for people too."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def independent(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies: no file format likes tensors that share their memory."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
