"""What a process and all that it started have used: processor time and memory, as Linux counts them.

Elsewhere only the process itself can be asked, and what needs the others is None.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import resource

_PROC = Path("/proc")
_MIB = 2**20


@dataclass(frozen=True)
class Memory:
    """Of one process, MiB. `own` is written by it and in no other process; `share` also has its part of all it maps."""

    own: float
    share: float


def descendants() -> list[int] | None:
    """The processes that this one started, and those that they started; None where that cannot be found out."""
    if not (_PROC / "self" / "stat").exists():
        return None
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields:
                parents[int(entry.name)] = int(fields[1])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def cpu_seconds(num_workers: int) -> float | None:
    """Processor time of this process and its descendants so far. None where workers cannot be asked."""
    others = descendants() if num_workers else []
    if others is None:
        return None
    ticks = 0
    for pid in others:
        fields = _stat(pid)
        ticks += sum(int(number) for number in fields[11:15]) if fields else 0  # its own, and of those it waited for
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK") if others else time.process_time()


def peak_memory_mib(num_workers: int) -> float | None:
    """The largest resident memory of this process, and of every descendant, added up; pages in common count often."""
    if sys.platform == "win32":
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there
    # ru_maxrss begins with what the parent had when it started this process.
    total = _kib(_PROC / "self" / "status", "VmHWM:") / 1024
    total = total or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB
    others = descendants() if num_workers else []
    if others is None:
        return None
    return total + sum(_kib(_PROC / str(pid) / "status", "VmHWM:") for pid in others) / 1024


def resident_mib() -> float | None:
    """Memory of this process now."""
    status = _PROC / "self" / "status"
    return _kib(status, "VmRSS:") / 1024 if status.exists() else None


def memory_of(pid: int) -> Memory | None:
    """Of any process that may be asked; None where the system does not tell."""
    path = _PROC / str(pid) / "smaps_rollup"
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    kib = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return Memory(kib["Private_Dirty:"] / 1024, kib["Pss:"] / 1024)


def worker_pids() -> list[int]:
    """The worker processes of this process's loaders, oldest first: what is started here and starts nothing itself."""
    names = {pid: _command(pid) for pid in descendants() or []}
    parents = {int(fields[1]) for pid in names if (fields := _stat(pid))}
    return sorted(pid for pid, name in names.items() if pid not in parents and "resource_tracker" not in name)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on: state, parent, …"""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _command(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def _kib(path: Path, key: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)
