"""`zoo replay`: runs a step that went wrong again, and finds the clip, the stage and the cause."""

import math
from pathlib import Path
from typing import Any

import torch

from zoo import provenance
from zoo.data.batch import Batch
from zoo.data.one_clip import alone, members
from zoo.run.black_box import BlackBox, as_text, read_black_box
from zoo.train.incident import Incident
from zoo.train.out_of_memory import out_of_memory_told
from zoo.use.evaluate import Counting, uncounted
from zoo.use.replay_advice import advise
from zoo.use.replay_step import Outcome, Step, rebuild
from zoo.use.replay_trace import trace


def replay(folder: str | Path, device: str = "auto", counting: Counting = uncounted) -> dict[str, Any]:
    """Runs the step of a black box again, then each of its clips alone, then the worst clip stage by stage.

    Nothing but the box is read. On the kind of device of the run, in its precision, on one process, the numbers are
    those of the run; to the last bit on a CPU.

    Args:
        folder: RUN/black_box/step-…
        device: auto (the GPU when there is one), cpu or cuda.
        counting: opens a progress bar, as `Console.counting` does.

    Raises:
        CheckpointError: no black box, or a damaged one. RecipeError: no such device. ZooError: out of memory.
    """
    box = read_black_box(Path(folder))
    target = provenance.pick_device(device)
    largest = max((len(batch) for batch in box.incident.batches), default=0)
    with out_of_memory_told(target, "replay", largest, ["--device cpu"] if target.type != "cpu" else []):
        return _replay(box, target, counting)


def _replay(box: BlackBox, target: torch.device, counting: Counting) -> dict[str, Any]:
    step = rebuild(box, target)
    incident = box.incident
    now = step.run(incident.batches)
    clips = []
    with counting("replay", "clips") as tell:
        for batch in incident.batches:
            for row in range(len(batch)):
                clip = alone(batch, row)
                clips.append((clip, step.run([clip])))
                tell(len(clips), len(incident.names))
    report: dict[str, Any] = {
        "box": str(box.folder),
        "name": box.recipe.name,
        "step": incident.step,
        "epoch": incident.epoch,
        "rank": incident.rank,
        "world": incident.world,
        "exact": incident.exact,
        "precision": incident.precision,
        "device_then": box.report["device"],
        "device": provenance.device_name(target),
        "then": _numbers(incident),
        "now": _numbers(now),
        "reproduced": not now.is_finite,
        "weights_not_finite": [
            name for name, value in box.state.items() if value.is_floating_point() and not value.isfinite().all()
        ],
        "clips": [
            {"name": clip.names[0], "id": int(clip.ids[0]), **_numbers(found), "finite": found.is_finite}
            for clip, found in clips
        ],
        "not_finite_clips": [],
        "worst": None,
    }
    if clips:
        clip, _ = max(clips, key=lambda one: (not one[1].is_finite, _size(one[1])))
        report["worst"] = _look_into(step, clip, box)
        report["not_finite_clips"] = _to_blame(step, [clip for clip, found in clips if not found.is_finite])
    report["advice"] = advise(report)
    return report


def _numbers(outcome: Outcome | Incident) -> dict[str, float | str]:
    return {"loss": as_text(outcome.loss), "grad_norm": as_text(outcome.grad_norm)}


def _size(outcome: Outcome) -> float:
    """Of the gradient; what is no number is beyond all."""
    return outcome.grad_norm if math.isfinite(outcome.grad_norm) else math.inf


def _to_blame(step: Step, clips: list[Batch]) -> list[str]:
    """Names of the clips that are not finite alone. Of a mixture: those of its parts that are not, or else of all."""
    names: dict[str, None] = {}
    for clip in clips:
        parts = members(clip, 0)
        bad = [part for part in parts if len(parts) > 1 and not step.run([part]).is_finite]
        names |= dict.fromkeys(part.names[0] for part in bad or parts)
    return list(names)


def _look_into(step: Step, clip: Batch, box: BlackBox) -> dict[str, Any]:
    """Everything about one clip."""
    plain, full = step.without_augmentation(), step.in_fp32()
    itself = members(clip, 0)[0]
    partners = clip.partners
    return {
        "name": clip.names[0],
        "labels": _labels(itself, box.config.get("labels")),
        "partners": list(partners.names) if partners is not None else [],
        "seconds": None
        if clip.waveform is None
        else round(int(clip.num_samples[0]) / box.recipe.front_end.sample_rate, 3),
        "oddities": sorted({f"{bad.path}: {bad.reason}" for part in members(clip, 0) for bad in part.bad}),
        "finite_without_augmentation": plain.run([itself]).is_finite,
        "finite_in_fp32": full.run([clip]).is_finite,
        **trace(step, clip).as_report(),
    }


def _labels(clip: Batch, names: list[str] | None) -> list[str] | None:
    """What a clip is labelled with; None where there are no labels."""
    if clip.target is None or not names:
        return None
    return [names[place] for place in clip.target[0].nonzero().flatten().tolist()]
