"""Loads what `torch.save` wrote, in its present form (a zip archive) and in the one before torch 1.6.

Nothing in the file can run code, write, or fill the memory: the pickle is walked first (`zoo.weights.pickles.outline`),
and every size that it states is held against the bytes of the file, here or, for the storages of an archive, by torch;
then `torch.load(weights_only=True)` builds it.
"""

import io
import struct
import warnings
import zipfile
from typing import Any, BinaryIO

import torch

from zoo.errors import CheckpointError
from zoo.weights.pickles.outline import Outline, read_outline
from zoo.weights.pickles.stand_ins import only_stand_ins

MAX_PICKLE = 16 * 2**20
"""Bytes of names, shapes and settings; those of the largest training checkpoints have less than one MiB."""
_TORCH_SAVE = "expected what torch.save writes"
_DAMAGED = "it is damaged or cut short: fetch it again"
_LOCAL_HEADER = 30
"""Bytes of a zip entry's header before its name (PKZIP APPNOTE 4.3.7)."""


def load_archive(file: BinaryIO, size: int) -> Any:
    """What a zip archive of `torch.save` holds.

    Args:
        file: open at its beginning.
        size: of the file in bytes.

    Raises:
        CheckpointError: not of `torch.save`, packed, damaged, or with anything but tensors and plain values.
    """
    entries = _entries(file, size)
    top = next(iter(entries)).partition("/")[0]
    entry = entries.get(f"{top}/data.pkl")
    if entry is None:
        some = ", ".join(repr(name)[1:-1] for name in list(entries)[:3])
        raise CheckpointError(f"found a zip archive without data.pkl (with {some}) - {_TORCH_SAVE} - unpack it first")
    if entry.file_size > MAX_PICKLE:
        raise CheckpointError(
            f"found a data.pkl of {entry.file_size:,} bytes - expected at most {MAX_PICKLE:,} beside the tensors - "
            "save its state_dict() alone"
        )
    read_outline(io.BytesIO(_raw(file, entry)))
    return _build(file)  # torch holds the size of each storage against its entry before it reads it


def load_legacy(file: BinaryIO, size: int) -> Any:
    """What a file of `torch.save` before torch 1.6 holds: five pickles, then the values. As `load_archive`."""
    stream = io.BytesIO(file.read(MAX_PICKLE))
    magic = read_outline(stream).value
    if magic != torch.serialization.MAGIC_NUMBER:
        raise CheckpointError(
            f"found a pickle that torch.save did not write - {_TORCH_SAVE} - "
            "where it was made, save its state_dict(): torch.save(model.state_dict(), path)"
        )
    read_outline(stream)  # version of the form: torch.load compares it
    read_outline(stream)  # sizes of types on the machine that wrote it
    outline = read_outline(stream)
    keys = read_outline(stream).value
    _check_values(file, size, stream.tell(), outline, keys)
    return _build(file)


def _check_values(file: BinaryIO, size: int, start: int, outline: Outline, keys: Any) -> None:
    """Behind the pickles stands, for every storage in the order of `keys`, its number of values and then these."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise CheckpointError(f"found no list of storages - {_TORCH_SAVE} - {_DAMAGED}")
    if set(keys) != outline.storages.keys() or len(keys) != len(outline.storages):
        raise CheckpointError(
            f"found the values of other storages ({len(keys)}) than tensors claim ({len(outline.storages)}) - "
            f"{_TORCH_SAVE} - {_DAMAGED}"
        )
    for key in keys:
        storage = outline.storages[key]
        file.seek(start)
        stated = file.read(8)
        start += 8 + storage.nbytes
        if start > size or len(stated) < 8 or struct.unpack("<q", stated)[0] * storage.itemsize != storage.nbytes:
            raise CheckpointError(
                f"found a file of {size:,} bytes that does not have the {storage.nbytes:,} that tensors claim of "
                f"storage {key[:20]!r} - {_TORCH_SAVE} - {_DAMAGED}"
            )


def _entries(file: BinaryIO, size: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's directory, when nothing in it is a program or can unpack to more than the file itself."""
    try:
        with zipfile.ZipFile(file) as archive:
            listed = archive.infolist()
    except Exception as error:  # a damaged directory raises nearly anything: BadZipFile, struct.error, UnicodeError
        raise CheckpointError(f"found a broken zip archive ({_one_line(error)}) - {_TORCH_SAVE} - {_DAMAGED}") from None
    if any(entry.filename.partition("/")[2].startswith(("code/", "constants.pkl")) for entry in listed):
        raise CheckpointError(
            "found a TorchScript archive, which is a program - expected weights alone - "
            "save its state_dict() instead: torch.save(torch.jit.load(path).state_dict(), other)"
        )
    unpacked = sum(entry.file_size for entry in listed)
    packed = any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in listed)
    if packed or unpacked > size:
        raise CheckpointError(
            f"found a packed zip archive ({size:,} bytes that unpack to {unpacked:,}) - {_TORCH_SAVE}, which is never "
            "packed - if you packed it yourself unpack it first, else do not use it"
        )
    entries = {entry.filename: entry for entry in listed}
    if not listed or len(entries) != len(listed):
        found = "the same entry twice" if listed else "nothing"
        raise CheckpointError(f"found a zip archive with {found} in it - {_TORCH_SAVE} - {_DAMAGED}")
    return entries


def _raw(file: BinaryIO, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes as they stand: `zipfile` would insist on a checksum that torch need not write."""
    file.seek(max(entry.header_offset, 0))
    header = file.read(_LOCAL_HEADER)
    if entry.header_offset < 0 or len(header) < _LOCAL_HEADER:
        raise CheckpointError(f"found an entry outside of the file - {_TORCH_SAVE} - {_DAMAGED}")
    file.seek(sum(struct.unpack("<HH", header[26:])), io.SEEK_CUR)
    return file.read(entry.file_size)


def _build(file: BinaryIO) -> Any:
    file.seek(0)
    try:
        with only_stand_ins(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about forms that it reads nevertheless
            return torch.load(file, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file raises nearly anything: EOFError, RuntimeError, UnpicklingError
        raise CheckpointError(
            f"found a file that torch refuses ({_one_line(error)}) - {_TORCH_SAVE} - {_DAMAGED}"
        ) from None


def _one_line(error: Exception) -> str:
    """The first sentence of an error, without its advice, which can be to switch off the safety."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.partition(". ")[0][:160]
