"""Every way to be wrong ends in one clear line, exit code 2, and no traceback."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, TINY_FINETUNE, TINY_PRETRAIN, environment

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
        (["finetune", "quickstart/cnn", "data.train=.", "train.device=cuda"], "no CUDA device"),
        (["evaluate", ".", ".", "--device", "tpu"], "expected a run folder"),
        (["check", "quickstart/ssast", "init.from=nowhere"], "no such folder"),
        (["check", "quickstart/ast", "--trace", "--out", "picture.txt"], ".png"),
        (["quickstart", "model.embed_dim=16"], "Known: kind, num_classes, n_mels, n_frames, channels"),
        (["chekc"], "No such command"),
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
    accepted = zoo(*arguments, "train.on_nonfinite=skip", "--resume").stdout  # a finished run is left as it is
    assert "going on with a changed recipe: train.on_nonfinite was 'stop' and is 'skip' now" in accepted


def test_another_front_end_is_refused(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    data = tone_folder()
    zoo("pretrain", "quickstart/pretrain", f"data.train={data}", *TINY_PRETRAIN, "--out", "pre")
    arguments = ["finetune", "quickstart/ssast", f"data.train={data}", *TINY_FINETUNE, "init.from=pre"]
    assert "window" in _stderr(zoo(*arguments, "front_end.window=hamming", "--out", "fine", code=2))


def test_weights_of_another_size_are_refused(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    data = tone_folder()
    zoo("pretrain", "quickstart/pretrain", f"data.train={data}", *TINY_PRETRAIN, "--out", "pre")
    arguments = ["finetune", "quickstart/ssast", f"data.train={data}", *TINY, "train.clips=16", "init.from=pre"]
    wrong = ["model.embed_dim=16", "model.num_heads=2", "model.depth=2"]
    text = _stderr(zoo(*arguments, *wrong, "--out", "fine", code=2))
    assert "depth 1 there, 2 here - expected the same - set model.depth=1" in text


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


def test_a_run_goes_on_only_with_its_own_clips(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    data = tone_folder()
    arguments = ["finetune", "quickstart/cnn", f"data.train={data}", *TINY, "train.clips=8", "--out", "run"]
    zoo(*arguments)
    tone_folder(clips=5)
    assert "training clips have changed" in _stderr(zoo(*arguments, "--resume", code=2))


def test_a_finished_run_does_not_stand_for_other_clips(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    data = tone_folder()
    arguments = ["compare", "quickstart/cnn", f"data.train={data}", f"data.eval={data}", *TINY, "train.clips=8"]
    zoo(*arguments, "--out", "table")
    tone_folder(clips=5)
    assert "on other clips" in _stderr(zoo(*arguments, "--out", "table", code=2))


def test_a_run_counts_once_and_other_choices_are_other_rows(
    zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = tone_folder()
    run = ["finetune", "quickstart/cnn", f"data.train={data}", f"data.eval={data}", *TINY, "train.clips=8"]
    zoo(*run, "--out", "a")
    zoo(*run, "optim.lr=1e-5", "--out", "b")
    zoo(*run, "seed=1", "--out", "c")
    rows = json.loads(zoo("compare", "a", "a", "b", "c", "--json").stdout)["rows"]
    assert {row["name"]: len(row["values"]) for row in rows} == {"quickstart-cnn": 2, "quickstart-cnn (b)": 1}


def test_bad_evaluation_clips_stop_the_run_by_their_own_share(
    zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data, bad = tone_folder(), tmp_path / "bad/low"
    bad.mkdir(parents=True)
    for i in range(20):
        (bad / f"{i}.wav").write_bytes(b"")
    (bad / "good.wav").write_bytes((data / "low/low_0.wav").read_bytes())
    arguments = ["finetune", "quickstart/cnn", f"data.train={data}", "data.eval=bad", *TINY, "train.clips=8"]
    assert "20 of 21 clips" in zoo(*arguments, "--out", "a", code=2).stderr
    zoo(*arguments, "data.max_bad_share=1", "--out", "b")
    summary = json.loads((tmp_path / "b/summary.json").read_text())
    assert (summary["bad_clips"], summary["bad_eval_clips"], summary["num_eval_clips"]) == (0, 20, 1)
    assert "20 of 21 clips" in zoo("evaluate", "b", "bad", code=2).stderr
    report = json.loads(zoo("evaluate", "b", "bad", "--max-bad-share", "1", "--workers", "1", "--json").stdout)
    assert (report["bad_clips"], report["num_eval_clips"]) == (20, 1)
    assert report["metrics"] == summary["metrics"]


def test_the_recipe_of_a_run_replays_it_from_anywhere(
    zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    tone_folder()
    zoo("finetune", "quickstart/cnn", "data.train=tones", "data.eval=tones", *TINY, "train.clips=8", "--out", "run")
    (tmp_path / "elsewhere").mkdir()
    command = [sys.executable, "-m", "zoo", "finetune", str(tmp_path / "run/recipe.yaml"), "--out", "again"]
    subprocess.run(command, cwd=tmp_path / "elsewhere", env=environment(), check=True, capture_output=True)
    first, second = (
        json.loads((tmp_path / folder / "summary.json").read_text()) for folder in ("run", "elsewhere/again")
    )
    assert first["metrics"] == second["metrics"]
    assert first["eval_manifest"] == second["eval_manifest"]
