"""Held-out clips as a pretrained model hears them: whole, with its mask, and with what it fills in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

import zoo
from zoo import disk
from zoo.audio.picture import draw_log_mels
from zoo.data.batch import Inputs
from zoo.errors import DataError
from zoo.evaluate.pictures import real_part
from zoo.recipe import read_recipe
from zoo.run import prepare_data

_COLOURS = 96
"""Of the file: few enough for a small one, enough for a log-mel."""


def draw_examples(run_folder: Path, out: Path, clips: int = 2) -> list[str]:
    """A PNG of some held-out clips of a pretraining run, each as input, masked and reconstructed; returns their names.

    Axes are in seconds and hertz. The clips are spread evenly over the first batch of those that the run was evaluated
    on; their masks follow from their keys, so that the picture is the same each time.

    Raises:
        ZooError: the run, or the audio that it was evaluated on, is not there any more.
    """
    recipe = read_recipe(run_folder / "recipe.yaml")
    data = prepare_data(recipe, torch.device("cpu"))
    if data.eval_loader is None:
        raise DataError(f"{run_folder}: the run has no held-out clips - expected data.eval or data.validation")
    inputs = data.make_inputs(next(iter(data.eval_loader.epoch(0))), 0, False)
    model: Any = zoo.load(run_folder).eval()
    rescale = bool(getattr(recipe.objective, "normalise_targets", False))
    with torch.no_grad():
        details = model.details(inputs.log_mel, inputs.num_frames, inputs.keys, rescale=rescale)
    drawn = [_drawn(inputs, details, clip, data.front_end.config) for clip in _spread(len(inputs.names), clips)]
    width = max(picture.shape[1] for picture in drawn)
    image = Image.new("RGB", (width, sum(picture.shape[0] for picture in drawn)), "white")
    top = 0
    for picture in drawn:
        image.paste(Image.fromarray(picture), (0, top))
        top += picture.shape[0]
    with disk.written_whole(out) as file:
        image.quantize(_COLOURS, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)
    return [Path(inputs.names[clip]).name for clip in _spread(len(inputs.names), clips)]


def _drawn(inputs: Inputs, details: Any, clip: int, front_end: Any) -> UInt8[ndarray, "height width 3"]:
    """Three log-mels of one clip, on the colour scale of its real part."""
    reference = real_part(inputs, clip)
    frames = min(reference.shape[1], details.masked.shape[2])  # whole patches only
    name = Path(inputs.names[clip]).name
    pictures = {
        f"{name}: the clip": inputs.log_mel[clip, :, :frames],
        "masked: what the model sees": details.masked[clip, :, :frames],
        "reconstructed: what it makes of the hidden patches": details.reconstructed[clip, :, :frames],
    }
    return draw_log_mels(pictures, front_end, limits_of=reference)


def _spread(available: int, wanted: int) -> Sequence[int]:
    """Places of clips, evenly spread."""
    wanted = min(available, wanted)
    return [place * available // wanted for place in range(wanted)]
