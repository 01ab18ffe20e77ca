"""Draws README's picture from a finished quickstart: python docs/pictures/quickstart.py runs/quickstart"""

import sys
from pathlib import Path

import torch
from PIL import Image

import zoo
from zoo.audio.picture import draw_log_mels
from zoo.recipe import read_recipe
from zoo.run import prepare_data

CLIP = 4  # the held-out note that is drawn

folder = Path(sys.argv[1]) / "pretrain"
data = prepare_data(read_recipe(folder / "recipe.yaml"), torch.device("cpu"))
assert data.eval_loader is not None
inputs = data.make_inputs(next(iter(data.eval_loader.epoch(0))), 0, False)
details = zoo.load(folder).details(inputs.log_mel, inputs.num_frames, inputs.keys, rescale=True)
picture = draw_log_mels(
    {
        "input: a note of an instrument that the model never heard": inputs.log_mel[CLIP],
        "masked: what the model sees": details.masked[CLIP],
        "reconstructed: what it makes of the hidden patches": details.reconstructed[CLIP],
    },
    data.front_end.config,
)
Image.fromarray(picture).save(Path(__file__).with_suffix(".png"), optimize=True)
