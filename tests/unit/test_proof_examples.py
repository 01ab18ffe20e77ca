"""Pictures of held-out clips of a pretraining run: input, masked, reconstructed."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.made_up_proof import pretraining, results
from zoo.errors import ZooError
from zoo.proof.publish import publish
from zoo.proof.publish.examples import draw_examples
from zoo.recipe import find_recipe, read_recipe
from zoo.run import train


def test_held_out_clips_are_drawn_while_the_run_is_there(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    tones = tone_folder(clips=3, seconds=1.0)
    data = [f"data.{side}={tones}" for side in ("train", "eval")]
    small = ["model.embed_dim=16", "model.depth=1", "model.num_heads=2", "model.n_frames=96", "train.clips=4"]
    small += ["train.batch_size=4", "schedule.warmup_clips=0", "train.device=cpu", "log.images=0"]
    out = tmp_path / "out"
    train(
        read_recipe(find_recipe("quickstart/pretrain"), [*data, *small]), out / "pretrain" / "patch", command="pretrain"
    )

    names = draw_examples(out / "pretrain" / "patch", tmp_path / "one.png", clips=2)
    assert len(names) == 2
    assert all("/" not in name for name in names)
    picture = Image.open(tmp_path / "one.png")
    assert picture.size[1] > 2 * 3 * 100  # two clips, three log-mels each
    assert len(np.unique(np.asarray(picture))) > 20
    assert (tmp_path / "one.png").stat().st_size < 150_000

    made = results(pretraining=(pretraining("patch"), replace(pretraining("frame"), folder=None)))
    written = publish(made, tmp_path / "pages", runs=out)
    path = tmp_path / "pages" / "pictures" / "examples-cpu-patch.png"
    assert path in written
    before = path.read_bytes()
    assert "(pictures/examples-cpu-patch.png)" in (tmp_path / "pages" / "ssast.md").read_text()

    shutil.rmtree(tones)  # the picture stays when it cannot be drawn again
    with pytest.raises(ZooError):
        draw_examples(out / "pretrain" / "patch", tmp_path / "two.png")
    assert not (tmp_path / "two.png").exists()
    assert path not in publish(made, tmp_path / "pages", runs=out)
    assert path.read_bytes() == before
    assert "(pictures/examples-cpu-patch.png)" in (tmp_path / "pages" / "ssast.md").read_text()


def test_a_folder_that_is_no_run_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ZooError):
        draw_examples(tmp_path, tmp_path / "one.png")
