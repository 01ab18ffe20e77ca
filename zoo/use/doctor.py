"""What is installed and whether it works; what a checkpoint is."""

import importlib
import platform
from pathlib import Path
from typing import Any

import soundfile
import torch

from zoo import provenance
from zoo.train.checkpoint import WEIGHTS
from zoo.weights.source import read

_TORCHAUDIO_CURE = (
    "pip install 'torch>=2.11,<2.15' 'torchaudio==2.11.0'  (builds of the same CUDA version, or both CPU)"
)


def _check(name: str, ok: bool, found: str, cure: str = "") -> dict[str, Any]:
    return {"name": name, "ok": ok, "found": found, "cure": "" if ok else cure}


def diagnose() -> dict[str, Any]:
    """Versions, devices and checks. A check that is not `ok` says what to install or do."""
    checks = [_check_torch(), _check_torchaudio(), _check_decoding()]
    return {
        "versions": provenance.versions(),
        "code": provenance.git_state(),
        "platform": platform.platform(),
        "devices": _devices(),
        "attention": _attention_kernels(),
        "checks": checks,
        "ok": all(check["ok"] for check in checks),
    }


def _check_torch() -> dict[str, Any]:
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    return _check(
        "torch",
        (2, 11) <= version < (2, 15),
        torch.__version__,
        "pip install 'torch>=2.11,<2.15' (torchaudio needs it)",
    )


def _check_torchaudio() -> dict[str, Any]:
    try:
        module = importlib.import_module("torchaudio")
    except Exception as error:  # a build that does not fit raises ImportError, OSError or RuntimeError
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return _check("torchaudio (resampling)", False, f"does not import: {first}", _TORCHAUDIO_CURE)
    return _check("torchaudio (resampling)", True, str(module.__version__))


def _check_decoding() -> dict[str, Any]:
    wanted = {"WAV": "wav", "FLAC": "flac", "OGG": "ogg/opus", "MP3": "mp3"}
    formats = soundfile.available_formats()
    missing = [label for name, label in wanted.items() if name not in formats]
    found = f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}"
    if missing:
        return _check("decoding", False, f"{found}: no {', '.join(missing)}", "pip install --upgrade soundfile")
    return _check("decoding", True, f"{found}: {', '.join(wanted.values())}")


def _devices() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": provenance.device_name(torch.device("cpu")), "kind": "cpu"}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            {
                "name": properties.name,
                "kind": "cuda",
                "memory_gib": round(properties.total_memory / 2**30, 1),
                "bf16": torch.cuda.is_bf16_supported(),
            }
        )
    return found


def _attention_kernels() -> dict[str, bool]:
    backends = torch.backends.cuda
    return {
        "flash": backends.flash_sdp_enabled() and torch.cuda.is_available(),
        "memory efficient": backends.mem_efficient_sdp_enabled() and torch.cuda.is_available(),
        "math": True,
    }


def describe_checkpoint(path: str | Path) -> dict[str, Any]:
    """Kind, geometry, size, front end, labels and history of whatever `zoo.load` takes."""
    loaded = read(path)
    config = loaded.config
    labels = config.get("labels")
    return {
        "checkpoint": str(loaded.path),
        "format": "zoo" if (loaded.path / WEIGHTS).is_file() else loaded.origin,
        "origin": loaded.origin if loaded.is_released else None,
        "kind": loaded.model_config.kind,
        "pretraining": loaded.pretraining,
        "parameters": sum(tensor.numel() for tensor in loaded.state.values()),
        "model": config["model"],
        "front_end": config.get("front_end"),
        "task": config.get("task"),
        "num_labels": len(labels) if labels else 0,
        "labels": labels,
        "notes": list(loaded.notes),
        "unused_tensors": list(loaded.unused),
        "history": config.get("history", []),
    }
