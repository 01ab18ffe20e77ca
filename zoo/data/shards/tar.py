"""One tar archive: written so that the same members give the same bytes, and read back to see that they lie there."""

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.audio.byte_range import HEADER_BYTES
from zoo.data.shards.names import unsafe_name
from zoo.errors import DataError

_END = 20 * HEADER_BYTES  # an archive is filled up to a multiple of it


@dataclass(frozen=True)
class Member:
    """A plain file within an archive."""

    name: str
    offset: int
    """Of its first byte in the archive."""
    size: int
    crc32: int


class TarWriter:
    """Writes a plain POSIX archive (ustar), in which nothing depends on the time or the user."""

    def __init__(self, path: Path) -> None:
        self.members: list[Member] = []
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - see close

    def size_with(self, *sizes: int) -> int:
        """Bytes of the archive if members of these sizes were added."""
        blocks = sum(HEADER_BYTES + -(-size // HEADER_BYTES) * HEADER_BYTES for size in sizes)
        return -(-(self._tar.offset + blocks + 2 * HEADER_BYTES) // _END) * _END

    def add(self, name: str, size: int, content: io.BufferedReader | io.BytesIO) -> Member:
        """Appends a member. Raises OSError - the disk refuses; DataError - `content` is shorter than `size`."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o644
        offset = self._tar.offset + HEADER_BYTES
        summed = _Summed(content)
        try:
            self._tar.addfile(info, summed)
        except _Short:
            raise DataError(f"{name}: its file became shorter while it was packed - expected files at rest") from None
        member = Member(name, offset, size, summed.crc32)
        self.members.append(member)
        return member

    def add_json(self, name: str, value: Any) -> Member:
        """Appends a member with JSON in ASCII."""
        content = json.dumps(value).encode("ascii")
        return self.add(name, len(content), io.BytesIO(content))

    def close(self) -> None:
        """Ends the archive."""
        self._tar.close()

    def abandon(self) -> None:
        """Closes the file, whatever is in it."""
        if self._tar.fileobj is not None:
            self._tar.fileobj.close()


class _Short(Exception):  # noqa: N818 - never leaves this file
    pass


class _Summed:
    """A file that counts its checksum while it is read to the end of a member."""

    def __init__(self, file: io.BufferedReader | io.BytesIO) -> None:
        self._file = file
        self.crc32 = 0

    def read(self, size: int = 0, /) -> bytes:
        parts = []
        while size > 0:
            part = self._file.read(size)
            if not part:
                raise _Short
            self.crc32 = zlib.crc32(part, self.crc32)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def forget_cached(path: Path) -> None:
    """Asks the system to drop what it holds of a synced file in memory, so that reading it reads the disk."""
    if hasattr(os, "posix_fadvise"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def scan(path: Path) -> Iterator[tarfile.TarInfo]:
    """The headers of an uncompressed archive, without folders.

    Raises: DataError - no archive, a damaged one, a member that is no plain file (a link, a device), or a name that
    would leave the folder into which it is unpacked.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            size = path.stat().st_size
            for info in tar:
                if info.isdir():
                    continue
                problem = unsafe_name(info.name)
                if problem is not None:
                    raise DataError(
                        f"{path}: member {info.name!r} {problem} - expected names below a folder - repack it"
                    )
                if not info.isreg() or info.issparse():
                    kind = "a link" if info.issym() or info.islnk() else "no plain file"
                    raise DataError(f"{path}: member {info.name!r} is {kind} - expected plain files - repack it")
                if info.offset_data + info.size > size:
                    raise DataError(
                        f"{path}: ends within member {info.name!r} - expected whole shards - fetch it again"
                    )
                yield info
                tar.members = []  # type: ignore[attr-defined]  # of a long archive, they would be gigabytes
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{path}: {error} - expected an uncompressed tar archive - fetch or write it again") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror} - expected a tar archive that can be read") from None


def first_difference(path: Path, members: Sequence[Member]) -> str | None:
    """Reads an archive to the end, and says where it is not what was written; None if it is, byte for byte."""
    expected = iter(members)
    try:
        with path.open("rb") as file:
            for info in scan(path):
                member = next(expected, None)
                if member is None:
                    return f"{path}: member {info.name!r} more than expected"
                if (info.name, info.offset_data, info.size) != (member.name, member.offset, member.size):
                    return f"{path}: member {info.name!r} at byte {info.offset_data}, where {member.name!r} was written"
                if crc32_of(file, member.offset, member.size) != member.crc32:
                    return f"{path}: member {member.name!r} has other bytes than were written"
    except DataError as error:
        return str(error)
    missing = next(expected, None)
    return None if missing is None else f"{path}: member {missing.name!r} is missing"


def crc32_of(file: io.BufferedReader, offset: int, size: int) -> int:
    """The checksum of a stretch of a file."""
    file.seek(offset)
    found = 0
    while size > 0:
        part = file.read(min(size, 1 << 20))
        if not part:
            break
        found = zlib.crc32(part, found)
        size -= len(part)
    return found


def sha256_of(path: Path) -> str:
    """The checksum of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
