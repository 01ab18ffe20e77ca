"""What `torchrun` tells a process that it starts, and notes that outlive the process.

The notes lie in the store of torchrun itself, which stays while it starts its processes anew (`--max-restarts`), and
which all of them reach, on whatever machine.
"""

import hashlib
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

_STORE_TIMEOUT = timedelta(seconds=5)
_NOTES = "zoo"
_PAUSE_SECONDS = 0.02


def is_started_by_torchrun() -> bool:
    """Whether this process is one of several that were started together."""
    told = all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    return told and int(os.environ["WORLD_SIZE"]) > 1


def is_main_process() -> bool:
    """Whether this is the process that prints and writes: the first of several, or the only one."""
    return not is_started_by_torchrun() or int(os.environ["RANK"]) == 0


def local_rank() -> int:
    """The number of this process among those on its machine."""
    return int(os.environ["LOCAL_RANK"]) if is_started_by_torchrun() else 0


def processes_here() -> int:
    """How many processes of the run are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_started_by_torchrun() else 1


def is_first_to_say(text: str) -> bool:
    """Whether no other process of the run, and none before a restart, has asked this about the same text.

    What all processes find out alike, such as a mistake in the recipe, is then told once. True where nobody can be
    asked: twice is better than never.
    """
    if not is_started_by_torchrun():
        return True
    notes = _open_notes()
    try:
        return notes is None or notes.add(f"said/{_short(text)}", 1) == 1
    except (RuntimeError, ValueError):
        return True


def goes_on(folder: Path, resume: bool) -> bool:
    """Whether a run resumes what is in its folder: asked to, or started again by the torchrun that began it.

    The main process notes that the run was begun when the folder was new, or `--resume` was given. A folder that was
    refused because something else is in it is refused after a restart, too.
    """
    if resume or "TORCHELASTIC_RUN_ID" not in os.environ:
        return resume
    key = f"begun/{_short(str(folder.expanduser().absolute()))}"
    is_restarted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    notes = _open_notes()
    if notes is None:
        return is_restarted
    try:
        # A machine that joins later changes the count of nobody: the note counts, the number of restarts does not.
        is_begun = notes.check([key])
        if not is_begun and is_main_process() and not (folder.is_dir() and any(folder.iterdir())):
            notes.set(key, "yes")
    except (RuntimeError, ValueError):
        return is_restarted
    return is_begun


def fresh_store(timeout: timedelta) -> dist.Store | None:
    """A store for the processes of this start alone, in which they can find each other; None: torch's own way is fine.

    Torchrun's store still has what the processes of the start before wrote, and torch 2.11 to 2.14 read it as if it
    were new (pytorch/pytorch issue 135712): they connect to processes that are dead, or wait for them. Nor is the
    number of restarts the same on all machines. So the first process thinks of a name for this start, and whoever gets
    its own word back under a name knows that the name is not of a start before.

    Raises: dist.DistStoreError - not all processes came.
    """
    notes = _open_notes()
    if notes is None or not is_started_by_torchrun():
        return None
    notes.set_timeout(timeout)
    return dist.PrefixStore(meet(notes, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), timeout), notes)


def meet(notes: dist.Store, rank: int, world: int, timeout: timedelta) -> str:
    """The name of this start, the same for its processes, and for those of no other start. Raises DistStoreError."""
    name = word = uuid.uuid4().hex
    absent = set(range(1, world)) if rank == 0 else {0}
    end = time.monotonic() + timeout.total_seconds()
    if rank == 0:
        notes.set("start", name)
    while True:
        for other in list(absent):
            if rank == 0 and notes.check([f"{name}/here/{other}"]):
                notes.set(f"{name}/back/{other}", notes.get(f"{name}/here/{other}").decode())
                absent.discard(other)
            elif rank != 0 and notes.check(["start"]):
                name = notes.get("start").decode()
                notes.set(f"{name}/here/{rank}", word)
                back = f"{name}/back/{rank}"
                if notes.check([back]) and notes.get(back).decode() == word:
                    absent.discard(other)
        if not absent:
            return name
        if time.monotonic() > end:
            raise dist.DistStoreError(f"process {rank} waited for {sorted(absent)} in vain")
        time.sleep(_PAUSE_SECONDS)


def _open_notes() -> dist.Store | None:
    """Torchrun's store; None where torchrun has none that outlives its processes, or it does not answer."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = dist.TCPStore(host, port, is_master=False, timeout=_STORE_TIMEOUT, wait_for_workers=False)
    except (RuntimeError, ValueError):  # DistNetworkError is a RuntimeError
        return None
    return dist.PrefixStore(_NOTES, store)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
