"""A member of a shard: a stretch of bytes in a tar archive, read without unpacking anything.

What an index says is not trusted: before any byte is used, the tar header in front of it must name the same member.
"""

import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 512
"""Of a tar header, and what everything in a tar archive is a multiple of."""
_SMALL = 1 << 20  # read at once; from here on an hour must not be read for ten seconds of it
_BUFFER = 1 << 16


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`size` bytes of a file from `offset` on, the content of the tar member named `member`."""

    path: Path
    offset: int
    size: int
    member: str

    def __str__(self) -> str:
        return f"{self.path}: member {self.member}"

    def open(self) -> io.BufferedReader | io.BytesIO:
        """The member as a file of its own; small ones are in memory.

        Raises: OSError - as for any file, and where the shard is too short, or holds another member there.
        """
        stream = self._open_shard()
        try:
            head = self._read_head(stream, self.size if self.size <= _SMALL else 0)
            if self.size > _SMALL:
                if os.fstat(stream.fileno()).st_size < self.offset + self.size:
                    raise _too_short()
                return io.BufferedReader(_Stretch(stream, self.offset, self.size), _BUFFER)
        except BaseException:
            stream.close()
            raise
        stream.close()
        return io.BytesIO(head[HEADER_BYTES:])

    def read(self, begin: int = 0, size: int | None = None) -> bytes:
        """Some of its bytes, all the rest by default. Raises: OSError - as `open`, and for bytes it does not have."""
        size = self.size - begin if size is None else size
        if begin < 0 or size < 0 or begin + size > self.size:
            raise OSError(errno.EINVAL, "too few bytes")
        with self._open_shard() as stream:
            head = self._read_head(stream, size if begin == 0 else 0)
            if begin == 0:
                return head[HEADER_BYTES:]
            stream.seek(self.offset + begin)
            found = stream.read(size)
        if len(found) < size:
            raise _too_short()
        return found

    def _open_shard(self) -> io.FileIO:
        if not stat.S_ISREG(os.stat(self.path).st_mode):  # a pipe would block
            raise OSError(errno.EINVAL, "its shard is not a regular file")
        return io.FileIO(self.path, "rb")

    def _read_head(self, stream: io.FileIO, size: int) -> bytes:
        """The tar header, checked, and the first `size` bytes of the member."""
        if self.offset < HEADER_BYTES:
            raise OSError(errno.EINVAL, "no member can lie there")
        stream.seek(self.offset - HEADER_BYTES)
        found = stream.read(HEADER_BYTES + size) or b""
        if len(found) < HEADER_BYTES + size:
            raise _too_short()
        if not is_header_of(found[:HEADER_BYTES], self.member, self.size):
            raise OSError(errno.EINVAL, "another member lies in its place: the shard is not the one that was indexed")
        return found


def is_header_of(header: bytes, member: str, size: int) -> bool:
    """Whether a tar header is that of a plain file of this name and size.

    Of a name that does not fit its field (a prefix before it, or more of it in a header before this one) the field's
    part is compared; of one that is not ASCII, nothing: every program writes those in a way of its own.
    """
    if header[257:262] != b"ustar" or header[156:157] not in (b"0", b"\0"):
        return False
    try:
        found = int(header[124:136].split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        return False
    if found != size:
        return False
    if not member.isascii():
        return True
    name, field = member.encode("ascii"), header[:100].split(b"\0")[0].removeprefix(b"./")
    return bool(field) and (
        name == field or name.endswith(b"/" + field) or (len(field) > 90 and name[:90] == field[:90])
    )


def _too_short() -> OSError:
    return OSError(errno.EINVAL, "its shard ends before it does")


class _Stretch(io.RawIOBase):
    """A stretch of an open file as a file; closes it too.

    It never raises while reading: libsndfile calls it, through C code that no exception can cross. A disk that fails
    looks like the end of the member.
    """

    def __init__(self, stream: io.FileIO, offset: int, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # any writable buffer
        wanted = max(0, min(len(buffer), self._size - self._position))
        try:
            self._stream.seek(self._offset + self._position)
            got = self._stream.readinto(memoryview(buffer)[:wanted]) or 0
        except OSError:
            got = 0
        self._position += got
        return got

    def close(self) -> None:
        self._stream.close()
        super().close()
