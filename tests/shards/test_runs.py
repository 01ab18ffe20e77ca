"""What `zoo pack` does, and runs from what it made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.conftest import TINY_FINETUNE
from zoo.audio.front_ends import FAMILIES
from zoo.errors import CheckpointError, DataError, RecipeError
from zoo.recipe import read_recipe
from zoo.run import train
from zoo.use.evaluate import evaluate_checkpoint
from zoo.use.inspect import check_recipe, trace_recipe
from zoo.use.pack import find_front_end, index, pack_manifest, verify


@pytest.fixture
def tones(tone_folder: Callable[..., Path]) -> Path:
    return tone_folder("tones", seconds=1.0)


def finetune(data: Path, out: Path, *more: str) -> dict[str, Any]:
    changed = {pair.split("=")[0] for pair in more}
    small = [pair for pair in TINY_FINETUNE if pair.split("=")[0] not in changed]
    overrides = [f"data.train={data}", f"data.eval={data}", *small, *more]
    return train(read_recipe("quickstart/ast", overrides), out, command="finetune")


def test_a_run_from_shards_is_the_run_from_files(tones: Path, tmp_path: Path) -> None:
    """The same weights, bit for bit."""
    report = pack_manifest(str(tones), tmp_path / "shards", shard_clips=3)
    assert (report["clips"], report["shards"], report["bad_clips"], report["hours"]) == (8, 3, 0, 0.0022)
    theirs, ours = finetune(tones, tmp_path / "a"), finetune(tmp_path / "shards", tmp_path / "b")
    assert ours["train_manifest"] == theirs["train_manifest"]
    assert ours["metrics"] == theirs["metrics"]
    one, other = (load_file(tmp_path / name / "checkpoints/last/model.safetensors") for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_from_log_mels(tones: Path, tmp_path: Path) -> None:
    """Evaluation says what it says of the files; training works; another front end is refused."""
    report = pack_manifest(str(tones), tmp_path / "mels", mode="features", front_end_of="ast", dtype="float32")
    assert (report["mode"], report["dtype"], report["clips"]) == ("features", "float32", 8)
    summary = finetune(tmp_path / "mels", tmp_path / "run", "model.n_frames=96")
    assert summary["clips"] == 16
    # Clips of 98 frames are longer than the model's 96 only by what both ways cut off at the end.
    ours = evaluate_checkpoint(tmp_path / "run", str(tmp_path / "mels"))
    theirs = evaluate_checkpoint(tmp_path / "run", str(tones))
    assert ours["num_eval_clips"] == theirs["num_eval_clips"] == 8
    assert ours["metrics"] == pytest.approx(theirs["metrics"], abs=1e-3)
    with pytest.raises(DataError, match="hop_length: 160 there, 320 here"):
        finetune(tmp_path / "mels", tmp_path / "other", "front_end.hop_length=320")
    overrides = [f"data.train={tmp_path / 'mels'}", *TINY_FINETUNE]
    assert check_recipe("quickstart/ast", overrides)["train_clips"] == 8
    stages = trace_recipe("quickstart/ast", overrides, tmp_path / "trace.png")["stages"]
    assert stages[0] == {
        "stage": "stored log-mel (B, n_mels, n_frames)",
        "shape": "(4, 128, 48)",
        "where": "zoo/data/feature_reader.py",
    }


def test_a_run_goes_on_past_a_missing_shard(tones: Path, tmp_path: Path) -> None:
    pack_manifest(str(tones), tmp_path / "shards", shard_clips=2)
    (tmp_path / "shards" / "shard-000001.tar").unlink()
    summary = finetune(tmp_path / "shards", tmp_path / "run")
    assert (summary["bad_clips"], summary["num_eval_clips"]) == (2, 6)
    told = (tmp_path / "run" / "bad_audio.jsonl").read_text()
    assert "shard-000001.tar: member 0000002_high_high_2.wav" in told
    (tmp_path / "shards" / "shard-000002.tar").unlink()
    (tmp_path / "shards" / "shard-000003.tar").unlink()
    with pytest.raises(DataError, match="cannot be used - expected at most 50%"):
        finetune(tmp_path / "shards", tmp_path / "stops")


def test_front_ends_by_name() -> None:
    assert find_front_end("passt") == FAMILIES["passt"]
    recipe = Path(__file__).resolve().parents[2] / "recipes" / "quickstart" / "ast.yaml"
    assert find_front_end(str(recipe)) == read_recipe(recipe).front_end
    with pytest.raises(CheckpointError, match="or a family: ast, hf, passt"):
        find_front_end("nothing")
    with pytest.raises(RecipeError):
        find_front_end("nothing.yaml")


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"sample_rate": 8_000}, "which keeps the bytes of the files"),
        ({"front_end_of": "ast"}, "which keeps the bytes of the files"),
        ({"mode": "features"}, "--features: found no --front-end"),
        ({"mode": "flac", "front_end_of": "passt", "sample_rate": 16_000}, "a front end of 32000 Hz"),
        ({"mode": "flac", "sample_rate": 10}, "sample_rate: Input should be greater"),
    ],
)
def test_options_that_contradict_each_other(choices: dict[str, Any], told: str, tones: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        pack_manifest(str(tones), tmp_path / "out", **choices)
    assert told in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_sources_that_do_not_fit(tones: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"audio beside the class folders.*; or pack without labels: --unlabelled"):
        pack_manifest(str(tones / "low"), tmp_path / "out")
    assert pack_manifest(str(tones / "low"), tmp_path / "out", unlabelled=True)["labelled"] is False
    with pytest.raises(DataError, match="no such file or folder") as caught:
        pack_manifest("nowhere.csv", tmp_path / "other")
    assert "--unlabelled" not in str(caught.value)
    pack_manifest(str(tones), tmp_path / "mels", mode="features", front_end_of="ast")
    with pytest.raises(DataError, match="log-mels already"):
        pack_manifest(str(tmp_path / "mels"), tmp_path / "again", mode="features", front_end_of="ast")
    with pytest.raises(DataError, match="no pack"):
        verify(str(tones))
    with pytest.raises(DataError, match=r"no \.tar in this folder"):
        index(str(tones))


def test_rates_of_front_ends(tones: Path, tmp_path: Path) -> None:
    report = pack_manifest(str(tones), tmp_path / "flac", mode="flac", front_end_of="passt")
    assert (report["sample_rate"], report["front_end"]) == (32_000, None)
    assert pack_manifest(str(tones), tmp_path / "wav", mode="wav")["sample_rate"] == 16_000
    assert verify(str(tmp_path / "wav"))["clips"] == 8
