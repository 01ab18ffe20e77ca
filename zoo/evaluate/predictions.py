"""What a model said of every clip that it was judged on: for statistics, ensembles and reports, long after the run."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zoo import disk
from zoo.data.labels import Task
from zoo.errors import DataError

PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """Scores and targets of clips, in the order of the manifest."""

    names: tuple[str, ...]
    """Of the clips: their ids."""
    scores: Float[Tensor, "clip cls"]
    """Logits, in float32, on the CPU."""
    targets: Float[Tensor, "clip cls"]
    labels: tuple[str, ...]
    task: Task

    def write(self, path: Path) -> None:
        """A file of numpy's .npz, compressed, whole or not at all. Raises CheckpointError: the disk refuses."""
        with disk.written_whole(path) as beside, beside.open("wb") as file:
            np.savez_compressed(
                file,
                names=np.array(self.names, dtype=np.str_),
                scores=self.scores.float().numpy(),
                targets=self.targets.float().numpy(),
                labels=np.array(self.labels, dtype=np.str_),
                task=np.array(self.task),
            )

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """What `write` wrote. Raises DataError: no such file, damaged, or another kind of file."""
        try:
            # Opened here, for numpy leaves a file open that is no archive.
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                names, scores, targets, labels, task = (
                    file[key] for key in ("names", "scores", "targets", "labels", "task")
                )
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: found no predictions ({' '.join(str(error).split())}) - expected the {PREDICTIONS} of a "
                "finished run - finish the run, or judge it again with zoo evaluate"
            ) from None
        shape = (len(names), len(labels))
        if scores.shape != shape or targets.shape != shape or str(task) not in get_args(Task):
            raise DataError(
                f"{path}: found scores {scores.shape} and targets {targets.shape} for {shape} (clips, labels) - "
                "expected the same - judge the run again with zoo evaluate"
            )
        return cls(
            tuple(map(str, names)),
            torch.from_numpy(scores.astype(np.float32)),
            torch.from_numpy(targets.astype(np.float32)),
            tuple(map(str, labels)),
            "single-label" if str(task) == "single-label" else "multi-label",
        )
