"""Several real processes, started by torchrun, with gloo on a CPU. Each start takes seconds, so they are shared."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import environment

TIMEOUT = 240


def torchrun(processes: int, *arguments: object, restarts: int = 0) -> list[str]:
    """The command that starts so many processes; `arguments` begin with a script or with -m MODULE."""
    # A rendezvous of its own on a free port: runs beside each other do not meet.
    meet = ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", f"--max-restarts={restarts}"]
    start = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", *meet]
    return [*start, *map(str, arguments)]


def run(command: list[str], code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs to the end and checks the exit code."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=TIMEOUT)
    assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def workers_of(process: subprocess.Popen[bytes]) -> dict[int, int]:
    """The processes that a torchrun has started: process id by rank."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent != process.pid:
                continue
            told = dict(pair.split("=", 1) for pair in (folder / "environ").read_text().split("\0") if "=" in pair)
        except (OSError, ValueError, IndexError):
            continue
        if "RANK" in told:
            found[int(told["RANK"])] = int(folder.name)
    return found


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of clips of different length, so that processes have different numbers of patches."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for row in range(19):
        label = "low" if row % 2 else "high"
        time = np.arange(3200 + 800 * (5 * row % 9)) / 16_000
        wave = 0.3 * np.sin(2 * np.pi * (300 + 300 * (row % 2)) * time + row) + 0.01 * rng.standard_normal(time.size)
        (folder / label).mkdir(exist_ok=True)
        soundfile.write(folder / label / f"{row:02}.wav", wave.astype(np.float32), 16_000)
    return folder
