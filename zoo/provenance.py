"""Where a number comes from: versions, device and state of the code, as written into every `summary.json`."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

from zoo.errors import RecipeError
from zoo.torchrun import is_started_by_torchrun, local_rank, processes_here

PACKAGES = ("spectrogram-zoo", "torch", "torchaudio", "numpy", "soundfile", "scikit-learn", "safetensors")


def versions() -> dict[str, str]:
    """Installed versions of what shapes a result; `missing` where a package is not installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def pick_device(wanted: str = "auto") -> torch.device:
    """`auto` is a CUDA device where there is one, else the CPU. Each process that torchrun starts gets one of its own.

    Raises:
        RecipeError: a device that is not there, or more processes on this machine than devices.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise RecipeError(f"device: found '{wanted}' - expected auto, cpu or cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RecipeError("device: found no CUDA device - expected one for 'cuda' - use auto or cpu; see zoo doctor")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if not is_started_by_torchrun():
        return torch.device("cuda")
    processes, devices = processes_here(), torch.cuda.device_count()
    if processes > devices:
        raise RecipeError(
            f"device: found {processes} processes for {devices} CUDA devices on this machine - expected one each - "
            f"start torchrun with --nproc-per-node {devices}, or set train.device=cpu"
        )
    return torch.device("cuda", local_rank())


def device_name(device: torch.device) -> str:
    """What a reader of a table wants to know: the GPU's name, or the CPU's with the threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()} ({torch.get_num_threads()} threads)"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def git_state() -> str | None:
    """The commit of the checkout that this package runs from, with `+changes` when it is modified; None in a wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=10
        )
        changes = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if commit.returncode:
        return None
    return commit.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
