"""The features of some held-out clips, with what is known of each: for a look at how a model arranges them."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from zoo.data.labels import Task
from zoo.evaluate.answers import clip_losses, probabilities, true_labels
from zoo.evaluate.evaluation import Scores, evaluating
from zoo.evaluate.pictures import real_part
from zoo.evaluate.setting import Setting

MOST_CLIPS = 200
_AT_ONCE = 8  # clips: their windows may be a minute long
_PICTURE = 48  # pixels along a side
_MAGMA = (matplotlib.colormaps["magma"](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Embedded:
    """Clips, a row each."""

    vectors: Float[np.ndarray, "clip embed"]
    columns: dict[str, list[str]]
    """What is known of every clip, by title."""
    pictures: UInt8[np.ndarray, "clip height width 3"]
    """Their log-mels."""


def embed_clips(on: Setting, found: Scores, labels: tuple[str, ...], task: Task) -> Embedded | None:
    """`model.features` of at most 200 of the clips that were scored, spread over the classes: the first window of each.

    In one process, without asking others. None for a model without an aggregator, or where no clip can be read.
    """
    assert found.targets is not None
    if getattr(on.model, "aggregator", None) is None:
        return None
    rows = spread_over_classes(found.targets, MOST_CLIPS)
    row_of = {found.clips[row]: row for row in rows}
    vectors: list[Tensor] = []
    pictures: list[np.ndarray] = []
    kept: list[int] = []
    with evaluating(on.model, on.device, on.precision):
        at_once = min(_AT_ONCE, on.batch_size)
        for first in range(0, len(rows), at_once):
            batch = on.read(found.clips[row] for row in rows[first : first + at_once])
            if not len(batch):
                continue
            inputs = on.inputs(batch)
            vectors += on.model.features(inputs.log_mel, inputs.num_frames, inputs.keys).float().cpu()
            pictures += [thumbnail(real_part(inputs, place)) for place in range(len(batch))]
            kept += [row_of[clip] for clip in batch.clips]
    if not kept:
        return None
    return Embedded(
        np.stack([vector.numpy() for vector in vectors]), _columns(found, kept, labels, task), np.stack(pictures)
    )


def spread_over_classes(targets: Float[Tensor, "clip cls"], most: int) -> list[int]:
    """Rows, ascending: the first of every class, then the second of every class, and so on until there are enough.

    A row belongs to the first of its classes; those without any make up one more.
    """
    has_any = (targets > 0.5).any(dim=1)
    first = (targets > 0.5).int().argmax(dim=1).where(has_any, -1).tolist()
    seen: dict[int, int] = {}
    rounds = []
    for row, place in enumerate(first):
        rounds.append((seen.get(place, 0), place, row))
        seen[place] = seen.get(place, 0) + 1
    return sorted(row for _, _, row in sorted(rounds)[:most])


def thumbnail(log_mel: Float[Tensor, "mel frame"]) -> UInt8[np.ndarray, "height width 3"]:
    """A small square picture, low frequencies at the bottom, in the colours of the large ones."""
    small = F.adaptive_avg_pool2d(log_mel.float()[None], (_PICTURE, _PICTURE))[0].flip(0).cpu().numpy()
    low, high = np.percentile(small, 1), np.percentile(small, 99.5)
    shade = (small - low) / max(high - low, 1e-3) * 255
    return _MAGMA[np.nan_to_num(shade).clip(0, 255).round().astype(np.uint8)]


def _columns(found: Scores, rows: Sequence[int], labels: tuple[str, ...], task: Task) -> dict[str, list[str]]:
    assert found.targets is not None
    scores, targets = found.scores[list(rows)], found.targets[list(rows)]
    probability = probabilities(scores, task)
    said = probability.argmax(axis=1).tolist()
    return {
        "label": [true_labels(target, labels) for target in targets],
        "predicted": [labels[place] for place in said],
        "right": ["yes" if target[place] > 0.5 else "no" for target, place in zip(targets, said, strict=True)],
        "probability": [f"{row[place]:.3f}" for row, place in zip(probability, said, strict=True)],
        "loss": [f"{loss:.4g}" for loss in clip_losses(scores, targets, task).tolist()],
        "clip": [found.names[row] for row in rows],
    }
