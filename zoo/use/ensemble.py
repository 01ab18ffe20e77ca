"""Several models as one: the mean of what they say, or of their weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from zoo import provenance
from zoo.errors import CheckpointError, DataError
from zoo.evaluate.averaging import mean_probability
from zoo.evaluate.predictions import Predictions
from zoo.train.checkpoint import save_checkpoint
from zoo.use.evaluate import (
    Counting,
    Scored,
    ScoreOptions,
    measure_predictions,
    read_classifier,
    score_checkpoint,
    uncounted,
)
from zoo.weights.average import average_weights

By = Literal["probability", "logit"]
IN_WORDS: dict[By, str] = {
    "probability": "mean of the members' probabilities",
    "logit": "mean of the members' logits",
}


def ensemble(
    checkpoints: Sequence[str | Path],
    manifest: str,
    *,
    by: By = "probability",
    weights: bool = False,
    out: Path | None = None,
    predictions: Path | None = None,
    counting: Counting = uncounted,
    **options: Any,
) -> dict[str, Any]:
    """Metrics of every member, of the mean of their predictions, and with `weights` of the mean of their weights.

    Members may be of any family, each behind its own front end; their labels must agree. All are judged on the clips
    that every one of them could use.

    Args:
        out: where the model of averaged weights is written, as a checkpoint folder.
        predictions: a .npz for the scores of the ensemble.
        options: the fields of `ScoreOptions`.

    Returns: `members`: [{`checkpoint`, `metrics`, …}]; `by`, `ensemble`: metrics of all and of each class; `weights`:
        the same for averaged weights, with `path`, or None; counts, and `notes`.

    Raises:
        CheckpointError: fewer than two, no classifiers, other geometry with `weights`, or `out` in use.
        DataError: members with other labels.
    """
    if len(checkpoints) < 2:
        raise CheckpointError(
            f"ensemble: found {len(checkpoints)} checkpoint - expected two or more, and then a manifest - name more"
        )
    if out is not None and not weights:
        raise CheckpointError("--out: found without --weights - expected both, for a model is written - add --weights")
    if out is not None and out.exists() and (out.is_file() or any(out.iterdir())):
        raise CheckpointError(f"{out}: found something there - expected a new folder - choose another --out")
    asked = ScoreOptions(**options)
    loaded = [read_classifier(checkpoint) for checkpoint in checkpoints]
    merged = average_weights(loaded) if weights else None
    scored = []
    for number, member in enumerate(loaded, start=1):
        title = f"member {number} of {len(loaded)}"
        scored.append(score_checkpoint(member, manifest, asked, counting, title))
    if merged is not None:
        scored.append(score_checkpoint(merged, manifest, asked, counting, "averaged weights"))
    aligned, notes = align(scored)
    members = aligned[: len(loaded)]
    joint = combine(members, by)
    if predictions is not None:
        joint.write(predictions)
    of_weights = None
    if merged is not None:
        if out is not None:
            save_checkpoint(out, merged.state, merged.config)
        of_weights = {"path": str(out) if out else None, **measure_predictions(aligned[-1])}
    measured = [measure_predictions(one) for one in members]
    return {
        "manifest": str(manifest),
        "manifest_hash": scored[0].clips.hash,
        "num_eval_clips": len(joint.names),
        "members": [
            {
                "checkpoint": one.checkpoint,
                "evaluation": one.windows.in_words,
                "bad_clips": sum(not bad.used for bad in one.bad),
                "metrics": of_member["metrics"],
            }
            for one, of_member in zip(scored, measured, strict=False)
        ],
        "by": by,
        "evaluation": IN_WORDS[by],
        "ensemble": measure_predictions(joint),
        "weights": of_weights,
        "notes": notes,
        "device": provenance.device_name(scored[0].device),
        "versions": provenance.versions(),
    }


def align(scored: Sequence[Scored]) -> tuple[list[Predictions], list[str]]:
    """(The predictions on the clips that all have, in the order of the first; what is to be said about it).

    Raises: DataError where labels or tasks differ, or no clip is left.
    """
    first = scored[0].predictions
    for other in scored[1:]:
        theirs = other.predictions
        if (theirs.labels, theirs.task) != (first.labels, first.task):
            pairs = zip(first.labels, theirs.labels, strict=False)
            found = next((f"{b!r} where the first has {a!r}" for a, b in pairs if a != b), None)
            found = found or f"{len(theirs.labels)} labels, {theirs.task}, against {len(first.labels)}, {first.task}"
            raise DataError(
                f"{other.checkpoint}: found {found} - expected the labels of {scored[0].checkpoint}, in their order - "
                "train the members with one data.labels"
            )
    shared = set(first.names).intersection(*(one.predictions.names for one in scored[1:]))
    if not shared:
        raise DataError("ensemble: found no clip that every member could use - expected some - zoo audit the manifest")
    notes = []
    lost = max(len(one.predictions.names) for one in scored) - len(shared)
    if lost:
        notes.append(f"{lost:,} clips that not every member could use are left out")
    names = [name for name in first.names if name in shared]
    aligned = []
    for one in scored:
        place = {name: row for row, name in enumerate(one.predictions.names)}
        rows = torch.tensor([place[name] for name in names])
        kept = one.predictions
        aligned.append(replace(kept, names=tuple(names), scores=kept.scores[rows], targets=kept.targets[rows]))
    return aligned, notes


def combine(members: Sequence[Predictions], by: By = "probability") -> Predictions:
    """The mean over aligned members, as logits: of the probabilities (softmax, or sigmoid of each class for
    multi-label, as the released AST averages), or of the logits themselves."""
    stacked = torch.stack([one.scores.double() for one in members], dim=1)
    if by == "logit":
        scores = stacked.mean(dim=1)
    else:
        mean = mean_probability(members[0].task)
        scores = torch.stack([mean(of_clip) for of_clip in stacked])
    return replace(members[0], scores=scores.float())
