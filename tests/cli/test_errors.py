"""Every way to be wrong ends in one clear line, exit code 2, and no traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, TINY_FINETUNE, TINY_PRETRAIN

Zoo = Callable[..., object]


def _stderr(done: object) -> str:
    text = done.stderr
    assert "Traceback" not in text
    return text


def test_five_mistakes_are_five_lines(zoo: Zoo, tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text(
        "name: wrong\n"
        "model:\n"
        "  kind: ast\n"
        "  embed_dims: 192\n"  # 4: unknown key
        "  embed_dim: 100\n"
        "  depth: twelve\n"  # 6: no number
        "  num_heads: 3\n"
        "objective: {kind: clasification}\n"  # 8: unknown kind
        "data: {task: single-label}\n"
        "optim: {lr: -1e-4}\n"  # 10: out of range
        "train: {epochs: 1, batch_size: 0}\n"  # 11: out of range
    )
    lines = _stderr(zoo("check", recipe, code=2)).strip().splitlines()
    assert len(lines) == 5, lines
    for line, (number, words) in zip(
        lines,
        [(4, "did you mean 'embed_dim'"), (6, "depth"), (8, "classification"), (10, "optim.lr"), (11, "batch_size")],
        strict=True,
    ):
        assert f"wrong.yaml:{number}:" in line
        assert words in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pretrain", "quickstart/pretrain"], "data.train"),
        (["pretrain", "quickstart/pretrian"], "quickstart/pretrain"),
        (["pretrain", "quickstart/pretrain", "data.train=nowhere"], "nowhere"),
        (["finetune", "quickstart/pretrain", "data.train=."], "zoo pretrain"),
        (["pretrain", "quickstart/ast", "data.train=."], "zoo finetune"),
        (["check", "quickstart/ast", "optim.lrr=1"], "did you mean 'lr'"),
        (["evaluate", "nothing-here", "."], "no such folder"),
        (["doctor", "nothing-here"], "no such folder"),
        (["compare", "."], "summary.json"),
    ],
)
def test_wrong_input_is_one_line(zoo: Zoo, arguments: list[str], words: str) -> None:
    text = _stderr(zoo(*arguments, code=2))
    assert words in text
    assert len(text.strip().splitlines()) == 1, text


def test_a_used_folder_is_refused(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder()
    arguments = ["finetune", "quickstart/cnn", f"data.train={data}", *TINY, "train.clips=8", "--out", "run"]
    zoo(*arguments)
    assert "--resume" in _stderr(zoo(*arguments, code=2))
    changed = _stderr(zoo(*arguments, "optim.lr=1e-5", "--resume", code=2))
    assert "optim.lr" in changed
    zoo(*arguments, "--resume")  # a finished run is left as it is


def test_another_front_end_is_refused(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    data = tone_folder()
    zoo("pretrain", "quickstart/pretrain", f"data.train={data}", *TINY_PRETRAIN, "--out", "pre")
    arguments = ["finetune", "quickstart/ssast", f"data.train={data}", *TINY_FINETUNE, "init.from=pre"]
    assert "window" in _stderr(zoo(*arguments, "front_end.window=hamming", "--out", "fine", code=2))


def test_weights_that_do_not_fit_are_named(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    data = tone_folder()
    zoo("pretrain", "quickstart/pretrain", f"data.train={data}", *TINY_PRETRAIN, "--out", "pre")
    arguments = ["finetune", "quickstart/ssast", f"data.train={data}", *TINY, "train.clips=16", "init.from=pre"]
    wrong = ["model.embed_dim=16", "model.num_heads=2", "model.depth=2"]
    text = _stderr(zoo(*arguments, *wrong, "--out", "fine", code=2))
    assert "encoder.blocks.1" in text


def test_a_pretraining_checkpoint_cannot_be_evaluated(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    data = tone_folder()
    zoo("pretrain", "quickstart/pretrain", f"data.train={data}", *TINY_PRETRAIN, "--out", "pre")
    assert "fine-tune it first" in _stderr(zoo("evaluate", "pre", data, code=2))


def test_runs_on_other_clips_are_not_compared(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    one, other = tone_folder("one"), tone_folder("other", clips=5)
    for name, data in (("a", one), ("b", other)):
        zoo(
            "finetune",
            "quickstart/cnn",
            f"data.train={one}",
            f"data.eval={data}",
            *TINY,
            "train.clips=8",
            "--out",
            name,
        )
    assert "manifest hash" in _stderr(zoo("compare", "a", "b", code=2))
