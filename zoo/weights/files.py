"""Reads one file of weights safely, whatever it is called: its form is told by its content.

A zip archive or an older pickle of `torch.save` (zoo/weights/pickles/), or safetensors. Nothing in a file can run code,
write anything, or unpack to more than its own size.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from zoo.errors import CheckpointError
from zoo.weights.pickles.load import load_archive, load_legacy
from zoo.weights.unwrap import unwrap
from zoo.weights.web_page import looks_like_web_page

MAX_HEADER = 100 * 1000 * 1000
"""Bytes of a safetensors header, as the format itself has it (its README, "Format")."""
_START = 512
_NAMES_SHOWN = 8
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_SIGNED = (torch.int8, torch.int16, torch.int32, torch.int64)
_KINDS = {*_FLOATS, *_SIGNED, torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64}
_EXPECTED = "expected a .pth, .pt or .ckpt file of torch.save, or safetensors"
_FETCH = "fetch it again"
_OTHER_FORMS = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x89HDF": "an HDF5 file (of Keras or MATLAB)",
    b"\x93NUMPY": "a numpy array",
    b"RIFF": "a sound file",
    b"GGUF": "a GGUF file",
}


@dataclass(frozen=True)
class TensorFile:
    """What one file holds."""

    path: Path
    state: dict[str, Tensor]
    """Flat, by the file's own names after unwrapping, on the CPU."""
    notes: tuple[str, ...]
    """What was taken off or left out."""


def read_tensors(path: Path) -> TensorFile:
    """The tensors of a file.

    Raises:
        CheckpointError: no such file, no checkpoint, damaged, with anything that is no plain value (which is named and
            not run), or with weights that are no numbers. One line: where, found, expected, what to do.
    """
    try:
        found = unwrap(_content(path))
        _check_kinds(found.state)
    except CheckpointError as error:
        text = "".join(letter if letter.isprintable() else "?" for letter in str(error))  # some of it is the file's own
        raise CheckpointError(f"{path}: {text}") from None
    except (OSError, MemoryError) as error:
        why = getattr(error, "strerror", None) or "not enough memory"
        raise CheckpointError(f"{path}: found no way to read it ({why}) - {_EXPECTED} - look at its place") from None
    check_finite(path, found.state)
    return TensorFile(path, found.state, tuple(found.notes))


def check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError: NaN or infinity among the weights; the tensors are named."""
    bad = [name for name, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        more = f" and {len(bad) - _NAMES_SHOWN} more" if len(bad) > _NAMES_SHOWN else ""
        raise CheckpointError(
            f"{path}: found NaN or infinity in {len(bad)} of {len(state)} tensors "
            f"({', '.join(bad[:_NAMES_SHOWN])}{more}) - expected finite weights - "
            f"the training that made it broke down: take an earlier checkpoint, or {_FETCH}"
        )


def _content(path: Path) -> Any:
    if not path.exists():
        raise CheckpointError(f"found no such file - {_EXPECTED} - check the path")
    if not path.is_file():
        raise CheckpointError(
            f"found {'a folder' if path.is_dir() else 'no ordinary file'} - {_EXPECTED} - name a file"
        )
    with path.open("rb") as file:
        size = path.stat().st_size
        start = file.read(_START)
        file.seek(0)
        if start.startswith(b"PK\x03\x04"):
            return load_archive(file, size)
        if start[:1] == b"\x80" and start[1:2] <= b"\x05":
            return load_legacy(file, size)
        if _is_safetensors(start):
            return _load_safetensors(file, path, size)
    raise CheckpointError(f"found {_what(start)} - {_EXPECTED} - {_FETCH}")


def _is_safetensors(start: bytes) -> bool:
    """A length in eight bytes, which are no text, and then JSON."""
    return start[8:9] == b"{" and not start[:8].decode("latin1").isprintable()


def _load_safetensors(file: BinaryIO, path: Path, size: int) -> dict[str, Tensor]:
    length = struct.unpack("<Q", file.read(8))[0]
    if length > min(MAX_HEADER, size - 8):
        raise CheckpointError(
            f"found a safetensors header of {length:,} bytes in a file of {size:,} - expected at most {MAX_HEADER:,}, "
            f"all in the file - it is damaged or cut short: {_FETCH}"
        )
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # besides its own errors it raises KeyError and ValueError for types that torch lacks
        text = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"found safetensors that cannot be read ({text}) - expected a header that fits the file - "
            f"it is damaged or cut short: {_FETCH}"
        ) from None


def _what(start: bytes) -> str:
    """In words, what a file is that is no checkpoint."""
    if not start:
        return "an empty file"
    for form, words in _OTHER_FORMS.items():
        if start.startswith(form):
            return words
    if looks_like_web_page(start):
        return "no weights (it looks like a web page, as a failed download leaves it)"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file that it points to ('git lfs pull' gets it)"
    if start.isascii() and b"\0" not in start:
        return f"text ({start[:30].decode('ascii')!r}...)"
    return f"unknown bytes ({start[:8].hex(' ')})"


def _check_kinds(state: Mapping[str, Tensor]) -> None:
    """Ordinary tensors of ordinary numbers. Raises CheckpointError: sparse, quantised, complex, or of odd types."""
    for name, value in state.items():
        if value.layout != torch.strided or value.is_quantized or value.dtype not in _KINDS:
            kind = "quantised" if value.is_quantized else f"{value.layout} {value.dtype}".replace("torch.", "")
            raise CheckpointError(
                f"found tensor {name} as {kind} - expected plain tensors of numbers - convert it where it was made"
            )
