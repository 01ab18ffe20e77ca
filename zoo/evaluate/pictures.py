"""Pictures for TensorBoard: what pretraining hides and guesses, and what a classifier confuses."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from zoo.audio.front_end import MelConfig
from zoo.audio.picture import draw_log_mels, rendered
from zoo.data.batch import Inputs

Picture = UInt8[np.ndarray, "height width 3"]


@torch.no_grad()
def pretraining_pictures(
    model: Any, inputs: Inputs, front_end: MelConfig, count: int, rescale: bool
) -> dict[str, list[Picture]]:
    """`log_mel/input`, `log_mel/masked` and `log_mel/reconstructed` of the first `count` clips.

    Args:
        model: a MaskedPatchModel.
        rescale: the model was trained on targets of mean 0 and variance 1 each, so its predictions know no level;
            each is then drawn with the mean and deviation of the true patch (as in He et al. 2022, figure 2).
    """
    pictures: dict[str, list[Picture]] = {"log_mel/input": [], "log_mel/masked": [], "log_mel/reconstructed": []}
    few = slice(0, min(count, inputs.log_mel.shape[0]))
    num_frames = None if inputs.num_frames is None else inputs.num_frames[few]
    details: Any = model.details(inputs.log_mel[few], num_frames, inputs.keys[few], rescale=rescale)
    for i, name in enumerate(inputs.names[few]):
        reference = real_part(inputs, i)
        width = min(reference.shape[1], details.masked.shape[2])  # whole patches only
        for tag, log_mel in (
            ("log_mel/input", inputs.log_mel[i]),
            ("log_mel/masked", details.masked[i]),
            ("log_mel/reconstructed", details.reconstructed[i]),
        ):
            pictures[tag].append(draw_log_mels({name: log_mel[:, :width]}, front_end, limits_of=reference))
    return pictures


def real_part(inputs: Inputs, clip: int) -> Float[Tensor, "mel frame"]:
    """The log-mel of one clip without its padding."""
    log_mel = inputs.log_mel[clip]
    return log_mel if inputs.num_frames is None else log_mel[:, : int(inputs.num_frames[clip])]


def confusion_picture(
    scores: Float[Tensor, "clip cls"], targets: Float[Tensor, "clip cls"], names: tuple[str, ...]
) -> Picture:
    """Rows are true classes, columns predictions, each row in shares of its class."""
    size = len(names)
    counts = np.zeros((size, size))
    np.add.at(counts, (targets.argmax(1).cpu().numpy(), scores.argmax(1).cpu().numpy()), 1)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    shown = [name[:28] for name in names] if size <= 60 else []
    inches = min(12.0, max(2.5, 0.25 * size))
    left = 0.7 + 0.06 * max(map(len, shown), default=0)  # room for the names, also below
    whole = left + inches + 0.1
    figure = Figure(figsize=(whole, whole), dpi=80)
    axes = figure.add_axes((left / whole, left / whole, inches / whole, inches / whole))
    axes.imshow(shares, cmap="magma", vmin=0, vmax=1)
    if shown:
        axes.set_xticks(range(size), shown, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(size), shown, fontsize=7, parse_math=False)
    if size <= 16:
        for row in range(size):
            for column in range(size):
                if counts[row, column]:
                    colour = "black" if shares[row, column] > 0.6 else "white"
                    text = f"{int(counts[row, column])}"
                    axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return rendered(figure)


def as_image(picture: Picture) -> UInt8[np.ndarray, "3 height width"]:
    """(H, W, 3) as drawn to (3, H, W) as logged."""
    return picture.transpose(2, 0, 1)
