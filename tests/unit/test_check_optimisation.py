"""What `zoo check` says about the optimiser, the schedule and the average, before anything is spent."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.errors import RecipeError
from zoo.use.inspect import check_recipe

SMALL = ["model.embed_dim=16", "model.depth=2", "model.num_heads=2", "model.n_frames=48", "train.batch_size=4"]


def test_frozen_weights_are_not_counted_as_trained() -> None:
    """A head of 16 numbers: a norm of 32, and a linear map to 527 classes."""
    whole = check_recipe("quickstart/ast", SMALL)
    assert whole["trained_parameters"] == whole["parameters"]
    frozen = check_recipe("quickstart/ast", [*SMALL, "optim.freeze=backbone"])
    assert frozen["parameters"] == whole["parameters"]
    assert frozen["trained_parameters"] == 32 + 17 * 527
    assert any(warning.startswith("optim.freeze: keeps fresh weights") for warning in frozen["warnings"])
    assert "warnings" not in whole


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optim.freeze=3"], "optim.freeze: found 3 for a model of 2 blocks - "),
        (["schedule={kind: step, warmup_steps: 50}"], "schedule.warmup_steps: found 50 for a run of 3 steps - "),
        (["schedule.warmup_clips=13"], "schedule.warmup_clips: found 13 for a run of 12 clips - "),
        (["train.clips=10", "schedule={kind: passt}"], "schedule.warmup_epochs: found 5 for a run of 3 epochs - "),
        (
            ["train.clips=10", "train.average={kind: epochs, first: 1, last: 3}"],
            "train.average.last: found 3 for a run of 2.5 epochs - ",
        ),
        (["train.clips=10", "train.average=swa"], "train.average.start: found 50 for a run of 2.5 epochs - "),
    ],
)
def test_what_only_the_data_tell_is_one_line(
    tone_folder: Callable[..., Path], overrides: list[str], message: str
) -> None:
    """Four clips make an epoch of one step."""
    recipe = [*SMALL, f"data.train={tone_folder(clips=2)}", "train.epochs=3"]
    if "train.clips=10" in overrides:
        recipe.remove("train.epochs=3")
    report = check_recipe("quickstart/ast", recipe + overrides[:-1])
    assert (report["train_clips"], report["steps"]) == (4, 3)
    with pytest.raises(RecipeError) as error:
        check_recipe("quickstart/ast", recipe + overrides)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
