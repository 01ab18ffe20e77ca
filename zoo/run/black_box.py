"""Black boxes: the folders to which steps go whose loss or gradient is not finite, for `zoo replay`.

    RUN/black_box/step-000123/        (step-000123-rank-1 of the second process, where there are several)
        report.json      what happened: step, clips, loss, gradient norm, versions, device, state of the code
        recipe.yaml      the resolved recipe
        batch-0.pt …     the clips of the step, as they came from the loader: plain tensors, numbers and texts
        checkpoint/      the weights (before the step, where `exact` is true) and what they are

A box stands under its name only when it is whole. Nothing in it can run code, and a replay needs nothing else: neither
manifest nor audio.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo import disk, provenance
from zoo.data.batch import BadAudio, Batch
from zoo.data.partners import Partners
from zoo.errors import CheckpointError, RecipeError
from zoo.objectives.class_weights import ClassWeights
from zoo.recipe import Recipe, dump_recipe, parse_recipe
from zoo.run.folder import RECIPE
from zoo.train.checkpoint import load_checkpoint, save_checkpoint
from zoo.train.incident import Incident

FOLDER = "black_box"
REPORT, CHECKPOINT = "report.json", "checkpoint"
MOST = 10
_LOG = logging.getLogger("zoo.run")
_NEEDED = f"expected a folder RUN/{FOLDER}/step-… with {REPORT}, {RECIPE}, batch-0.pt and {CHECKPOINT}"


@dataclass(frozen=True)
class BlackBox:
    """A step that went wrong, as read back."""

    folder: Path
    incident: Incident
    recipe: Recipe
    config: dict[str, Any]
    """The `config.json` of the checkpoint."""
    state: dict[str, Tensor]
    """The weights."""
    class_weights: ClassWeights | None
    frozen: tuple[str, ...]
    """Names of the parameters that were not trained."""
    report: dict[str, Any]


@dataclass
class BlackBoxes:
    """Writes the black boxes of a run: what `fit` calls as `on_incident`.

    It never stops a run: what cannot be written is told in a line. After `MOST` boxes, those of sessions before a
    resume included, further incidents are only counted.
    """

    run: Path
    """The run folder."""
    model: nn.Module
    recipe: Recipe
    config: dict[str, Any]
    """What every checkpoint of the run has as `config.json`."""
    optimiser: torch.optim.Optimizer | None = None
    class_weights: ClassWeights | None = None
    most: int = MOST
    count: int = field(default=0, init=False)
    """Incidents in this session."""

    def __call__(self, incident: Incident) -> Path | None:
        """The box of an incident; None when it was not written."""
        self.count += 1
        if self._num_written(incident.rank) >= self.most:
            _LOG.warning("%s; there are %d black boxes already: it is only counted", incident.in_words, self.most)
            return None
        try:
            box = write_black_box(
                self.run, incident, self.model, self.recipe, self.config, self.optimiser, self.class_weights
            )
        except Exception as error:  # whatever it is, a run that would go on must do so
            why = disk.reason(error.__cause__ or error)
            _LOG.warning("%s; its black box could not be written (%s)", incident.in_words, why)
            return None
        if self.recipe.train.on_nonfinite == "skip":  # else the error that ends the run says it
            _LOG.warning("%s, which is left out; look into it with: zoo replay %s", incident.in_words, box)
        return box

    def _num_written(self, rank: int) -> int:
        """Of this process, in all sessions: each process writes its own."""
        names = (box.name for box in (self.run / FOLDER).glob("step-*"))
        return sum((int(name.rpartition("-rank-")[2]) if "-rank-" in name else 0) == rank for name in names)


def write_black_box(
    folder: Path,
    incident: Incident,
    model: nn.Module,
    recipe: Recipe,
    checkpoint_config: Mapping[str, Any],
    optimiser: torch.optim.Optimizer | None = None,
    class_weights: ClassWeights | None = None,
) -> Path:
    """Writes `folder/black_box/step-…` and returns it; one of the same step, written before a resume, gives way.

    Args:
        folder: the run's.
        model: as it is trained, without what wraps it for several processes or for the compiler.
        class_weights: of the loss: they were counted on the training clips, which a replay does not have.

    Raises:
        CheckpointError: the disk is full or refuses; nothing is left of it then.
    """
    name = f"step-{incident.step:06d}" + (f"-rank-{incident.rank}" if incident.world > 1 else "")
    box = folder / FOLDER / name
    report = _report(incident, model, optimiser, class_weights)
    with disk.written_whole(box) as temporary:
        temporary.mkdir()
        disk.write_json(temporary / REPORT, report)
        (temporary / RECIPE).write_text(dump_recipe(recipe), encoding="utf-8")
        for number, batch in enumerate(incident.batches):
            disk.write_pickle(temporary / f"batch-{number}.pt", _plain(batch))
        config = {**checkpoint_config, "clips": incident.clips}
        save_checkpoint(temporary / CHECKPOINT, model.state_dict(), config)
        disk.remove(box)
    return box


def read_black_box(folder: Path) -> BlackBox:
    """Reads what `write_black_box` wrote.

    Raises:
        CheckpointError: no such folder, files missing or damaged: one line that says which.
    """
    _check_is_box(folder)
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        incident = _incident(report, tuple(_read_batch(folder, i) for i in range(report["batches"])))
        frozen = tuple(map(str, report["frozen"]))
        weights = _class_weights(report["class_weights"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, REPORT, error) from None
    try:
        recipe = parse_recipe((folder / RECIPE).read_text(encoding="utf-8"), str(folder / RECIPE))
    except (OSError, ValueError) as error:
        raise _damaged(folder, RECIPE, error) from None
    except RecipeError as error:
        raise _damaged(folder, RECIPE, str(error).splitlines()[0]) from None
    state, config = load_checkpoint(folder / CHECKPOINT)
    return BlackBox(folder, incident, recipe, config, state, weights, frozen, report)


def _check_is_box(folder: Path) -> None:
    if (folder / REPORT).is_file():
        return
    inside = [path for parent in (folder / FOLDER, folder) for path in sorted(parent.glob("step-*")) if path.is_dir()]
    if inside:
        found = f"{len(inside)} black box{'es' if len(inside) > 1 else ''} in it"
        raise CheckpointError(f"{folder}: found {found} - expected one of them - choose one: zoo replay {inside[0]}")
    found = f"no {REPORT} in it" if folder.is_dir() else "a file" if folder.exists() else "no such folder"
    raise CheckpointError(
        f"{folder}: found {found} - {_NEEDED} - give the folder that the run named, or see whether there is one"
    )


def _damaged(folder: Path, name: str, error: BaseException | str) -> CheckpointError:
    why = error if isinstance(error, str) else disk.reason(error)
    why = f"no {why}" if isinstance(error, KeyError) else why
    return CheckpointError(f"{folder / name}: found it missing or damaged ({why}) - {_NEEDED} - take an undamaged copy")


def _report(
    incident: Incident,
    model: nn.Module,
    optimiser: torch.optim.Optimizer | None,
    class_weights: ClassWeights | None,
) -> dict[str, Any]:
    named = list(model.named_parameters())
    gradients = [(name, parameter.grad) for name, parameter in named if parameter.grad is not None]
    device = named[0][1].device if named else torch.device("cpu")
    return {
        "format": 1,
        "step": incident.step,
        "epoch": incident.epoch,
        "clips": incident.clips,
        "loss": as_text(incident.loss),
        "grad_norm": as_text(incident.grad_norm),
        "precision": incident.precision,
        "exact": incident.exact,
        "rank": incident.rank,
        "world": incident.world,
        "batches": len(incident.batches),
        "names": list(incident.names),
        "ids": [number for batch in incident.batches for number in batch.ids.tolist()],
        "bad_audio": [vars(bad) for batch in incident.batches for bad in batch.bad],
        "gradients_not_finite": [name for name, gradient in gradients if not gradient.isfinite().all()],
        "lr": [float(group["lr"]) for group in optimiser.param_groups] if optimiser is not None else None,
        "frozen": [name for name, parameter in named if not parameter.requires_grad],
        "class_weights": _numbers(class_weights),
        "device": provenance.device_name(device),
        "device_type": device.type,
        "versions": provenance.versions(),
        "code": provenance.git_state(),
    }


def as_text(value: float) -> float | str:
    """A number for JSON, which has none for NaN and infinity: they become `nan`, `inf` and `-inf`."""
    return value if math.isfinite(value) else str(value)


def _incident(report: dict[str, Any], batches: tuple[Batch, ...]) -> Incident:
    return Incident(
        step=int(report["step"]),
        epoch=int(report["epoch"]),
        clips=int(report["clips"]),
        batches=batches,
        loss=float(report["loss"]),
        grad_norm=float(report["grad_norm"]),
        precision=str(report["precision"]),
        exact=bool(report["exact"]),
        rank=int(report["rank"]),
        world=int(report["world"]),
    )


def _numbers(weights: ClassWeights | None) -> dict[str, list[float] | None] | None:
    if weights is None:
        return None
    negative = None if weights.negative is None else weights.negative.tolist()
    return {"positive": weights.positive.tolist(), "negative": negative}


def _class_weights(numbers: dict[str, list[float] | None] | None) -> ClassWeights | None:
    if numbers is None:
        return None
    negative = numbers["negative"]
    return ClassWeights(torch.tensor(numbers["positive"]), None if negative is None else torch.tensor(negative))


def _plain(batch: Batch) -> dict[str, Any]:
    """A batch as tensors, texts and numbers, which load without running code."""
    return {
        **_tensors(batch),
        "names": list(batch.names),
        "clips": list(batch.clips),
        "is_full": batch.is_full,
        "bad": [vars(bad) for bad in batch.bad],
        "partners": None
        if batch.partners is None
        else {**_tensors(batch.partners), "names": list(batch.partners.names)},
    }


def _tensors(parts: Batch | Partners) -> dict[str, Tensor]:
    # Copies: a view would be saved with all that it is a view of.
    return disk.independent({name: value for name, value in vars(parts).items() if isinstance(value, Tensor)})


def _read_batch(folder: Path, number: int) -> Batch:
    name = f"batch-{number}.pt"
    try:
        plain = torch.load(folder / name, map_location="cpu", weights_only=True)
        partners, names = plain.pop("partners"), tuple(plain.pop("names"))
        bad = tuple(BadAudio(**one) for one in plain.pop("bad"))
        optional: dict[str, Any] = {"waveform": None, "target": None}
        batch = Batch(
            **optional | plain | {"clips": tuple(plain["clips"])},
            names=names,
            bad=bad,
            partners=None if partners is None else _partners(partners),
        )
        if len(names) != len(batch) or (batch.waveform is None and batch.log_mel is None):
            raise ValueError(f"{len(names)} names of {len(batch)} clips")
    except Exception as error:  # a damaged file raises nearly anything: EOFError, RuntimeError, UnpicklingError
        raise _damaged(folder, name, error) from None
    return batch


def _partners(plain: dict[str, Any]) -> Partners:
    optional: dict[str, Any] = {"waveform": None, "log_mel": None, "target": None}
    return Partners(**optional | plain | {"names": tuple(plain["names"])})
