"""The file of a published checkpoint: from the cache, from ./checkpoints, or from the network, and verified each time.

    $ZOO_CACHE            where downloads go; default: zoo/checkpoints in $XDG_CACHE_HOME or ~/.cache
    ./checkpoints         of the working directory; for files that were fetched by hand
    $ZOO_OFFLINE          1: never touch the network

What is published about a file (its size within bounds, digits of its SHA-256) is verified. Its SHA-256 is written
beside it on first use, and a file that differs from it later is refused.

Processes that want the same file take turns, and go on with the one FILE.part. Where the file system has no locks, and
on Windows, each brings its own FILE.PID.part, which no other process goes on with, and the last one to finish stays.
"""

import contextlib
import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import CheckpointError
from zoo.weights.catalogue import Known
from zoo.weights.transfer import OnProgress, TransferError, forget, transfer
from zoo.weights.web_page import looks_like_web_page

if sys.platform != "win32":
    import fcntl

_WAIT_SECONDS = 0.5
_HEAD_BYTES = 512


def cache_folder() -> Path:
    """Where downloads go."""
    stated = os.environ.get("ZOO_CACHE")
    if stated:
        return Path(stated).expanduser()
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise CheckpointError(
            "cache: this user has no home folder - expected one - set ZOO_CACHE to a folder"
        ) from None
    return base / "zoo" / "checkpoints"


def cached(known: Known) -> Path | None:
    """The file of a checkpoint where it lies on this machine, not yet verified; None when it has to be downloaded."""
    return next((path for path in _places(known) if path.is_file()), None)


def fetch(known: Known, *, on_progress: OnProgress | None = None) -> Path:
    """The verified file of a checkpoint, downloaded when it is not here. A broken download is gone on with.

    Args:
        on_progress: called with the bytes that are there and those of the whole (None: not known).

    Raises:
        CheckpointError: it cannot be had (says which address to fetch by hand and where to put it), the disk is full,
            or the file is not the published one, or not the one that was used before.
    """
    path = cached(known)
    if path is None:
        if os.environ.get("ZOO_OFFLINE", "").lower() not in ("", "0", "false", "no"):
            raise CheckpointError(_by_hand(known, "not on this machine, and ZOO_OFFLINE is set"))
        path = _download(known, on_progress)
    _compare_with_first_use(path, _verified_sha256(path, known))
    return path


def _places(known: Known) -> tuple[Path, Path]:
    return cache_folder() / known.file, Path.cwd() / "checkpoints" / known.file


def _by_hand(known: Known, why: str) -> str:
    cache, local = _places(known)
    size = f" of {known.size_range[0] / 1e6:.0f} MB" if known.size_range else ""
    return (
        f"{known.name}: {why} - expected the file {known.file}{size} - fetch {known.url} by hand and put it at "
        f"{cache} or at {local}"
    )


def _download(known: Known, on_progress: OnProgress | None) -> Path:
    path = cache_folder() / known.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{path.parent}: {error.strerror} - expected a folder for downloads - set ZOO_CACHE to another"
        ) from None
    shared = path.with_name(f"{path.name}.part")
    with _turn(path, shared, on_progress) as is_alone:
        if path.is_file():
            return path  # the process that was waited for has brought it
        part = shared if is_alone else path.with_name(f"{path.name}.{os.getpid()}.part")
        refusals = []
        for url in (known.url, *known.mirrors):
            try:
                transfer(url, part, known.size_range, on_progress)
                break
            except TransferError as error:
                refusals.append(f"{url}: {error}")
        else:
            raise CheckpointError(_by_hand(known, f"not to be had ({'; '.join(refusals)})"))
        try:
            _verified_sha256(part, known)
        except CheckpointError:
            forget(part)
            raise
        os.replace(part, path)
        forget(part)
    return path


@contextlib.contextmanager
def _turn(path: Path, part: Path, on_progress: OnProgress | None) -> Iterator[bool]:
    """Waits until no other process downloads this file. False where the file system has no locks."""
    if sys.platform == "win32":
        yield False
        return
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_alone = True
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    is_alone = False
                    break
            if on_progress is not None and part.is_file():
                on_progress(part.stat().st_size, None)
            time.sleep(_WAIT_SECONDS)
        yield is_alone


def _verified_sha256(path: Path, known: Known) -> str:
    """The SHA-256 of a file. Raises CheckpointError when it cannot be the published one."""
    with path.open("rb") as file:
        if looks_like_web_page(file.read(_HEAD_BYTES)):
            raise _wrong(path, known, "a web page")
        size = os.fstat(file.fileno()).st_size
        if known.size_range is not None and not known.size_range[0] <= size <= known.size_range[1]:
            raise _wrong(
                path, known, f"{size:,} bytes, where it has {known.size_range[0]:,} to {known.size_range[1]:,}"
            )
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if known.sha256 is not None and not digest.startswith(known.sha256):
        raise _wrong(path, known, f"a SHA-256 that begins with {digest[:16]}, where its begins with {known.sha256}")
    return digest


def _wrong(path: Path, known: Known, found: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: found {found} - expected {known.file} as published - delete it and fetch {known.url} again"
    )


def _compare_with_first_use(path: Path, digest: str) -> None:
    """Against the record beside the file, which is made when there is none."""
    record = path.with_name(f"{path.name}.json")
    try:
        first = json.loads(record.read_text("utf-8"))["sha256"]
    except FileNotFoundError:
        with contextlib.suppress(OSError):  # a folder that is not ours to write in; the file is good all the same
            temporary = record.with_name(f".{record.name}.{os.getpid()}")
            temporary.write_text(json.dumps({"sha256": digest, "size": path.stat().st_size}) + "\n", "utf-8")
            os.replace(temporary, record)
        return
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"{record}: not readable - expected the SHA-256 of {path.name} - delete it to record the file anew"
        ) from None
    if first != digest:
        raise CheckpointError(
            f"{path}: its SHA-256 is {digest}, and was {first} at its first use - expected the same file - delete "
            f"it to download it again, or delete {record} if the change is meant"
        )
