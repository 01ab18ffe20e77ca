"""A folder of sound through every command: pretrain, fine-tune, evaluate, compare."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import zoo as package
from tests.cli.conftest import TINY, TINY_FINETUNE, TINY_PRETRAIN

Zoo = Callable[..., object]


def _scalars(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    return events


def test_the_whole_way(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder(clips=6)
    zoo("pretrain", "quickstart/pretrain", f"data.train={data}", f"data.eval={data}", *TINY_PRETRAIN, "--out", "pre")
    pretrained = json.loads((tmp_path / "pre/summary.json").read_text())
    assert pretrained["clips"] == 16
    assert set(pretrained["metrics"]) >= {"loss", "pretext_accuracy", "pretext_chance"}
    assert (tmp_path / "pre/checkpoints/last/trainer.pt").exists()
    events = _scalars(tmp_path / "pre")
    tags = events.Tags()
    assert {
        "loss/total",
        "loss/reconstruct",
        "loss/classify",
        "pretext/accuracy",
        "optim/lr",
        "optim/grad_norm",
    } <= set(tags["scalars"])
    assert {"log_mel/input", "log_mel/masked", "log_mel/reconstructed"} <= set(tags["images"])
    assert [event.step for event in events.Scalars("loss/total")] == [8, 16]  # clips, not steps
    assert any("recipe" in tag for tag in tags["tensors"])

    shared = [f"data.train={data}", f"data.eval={data}", *TINY_FINETUNE]
    zoo("finetune", "quickstart/ssast", *shared, "init.from=pre", "--out", "fine")
    fine = json.loads((tmp_path / "fine/summary.json").read_text())
    assert fine["init"]["clips"] == 16
    assert fine["chance"]["accuracy"] == 0.5
    assert fine["labels"] == ["high", "low"]
    lines = [json.loads(line) for line in (tmp_path / "fine/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["eval/accuracy"] == fine["metrics"]["accuracy"]

    result = json.loads(zoo("evaluate", "fine", data, "--json").stdout)
    assert result["metrics"]["accuracy"] == fine["metrics"]["accuracy"]
    assert result["num_eval_clips"] == 12

    zoo(
        "finetune", "quickstart/cnn", f"data.train={data}", f"data.eval={data}", *TINY, "train.clips=16", "--out", "cnn"
    )
    table = json.loads(zoo("compare", "fine", "cnn", "--out", "table", "--json").stdout)
    assert {row["name"] for row in table["rows"]} == {"quickstart-ssast", "quickstart-cnn"}
    assert table["chance"] == 0.5
    assert (tmp_path / "table/comparison.md").read_text().startswith("| model | accuracy")

    described = json.loads(zoo("doctor", "fine", "--json").stdout)
    assert [entry["objective"] for entry in described["history"]] == ["masked-patch", "classification"]


def test_finetuning_starts_from_the_pretrained_backbone(
    zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = tone_folder()
    zoo("pretrain", "quickstart/pretrain", f"data.train={data}", *TINY_PRETRAIN, "--out", "pre")
    # A learning rate of next to nothing leaves the weights as they were loaded.
    frozen = [*TINY_FINETUNE, "optim.lr=1e-12", "optim.weight_decay=0"]
    zoo("finetune", "quickstart/ssast", f"data.train={data}", *frozen, "init.from=pre", "--out", "fine")
    before = load_file(tmp_path / "pre/checkpoints/last/model.safetensors")
    after = load_file(tmp_path / "fine/checkpoints/last/model.safetensors")
    shared = [name for name in after if not name.startswith("head.")]
    assert shared
    for name in shared:
        torch.testing.assert_close(after[name], before[f"backbone.{name}"], atol=1e-9, rtol=0)


def test_compare_trains_what_is_missing_and_repeats_nothing(
    zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = tone_folder()
    arguments = ["compare", "quickstart/cnn", f"data.train={data}", f"data.eval={data}", *TINY, "train.clips=8"]
    first = json.loads(zoo(*arguments, "--seeds", 2, "--out", "table", "--json").stdout)
    (row,) = first["rows"]
    assert len(row["values"]) == 2
    assert row["deviation"] is not None
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "table").rglob("model.safetensors")}
    assert len(stamps) >= 2
    second = json.loads(zoo(*arguments, "--seeds", 2, "--out", "table", "--json").stdout)
    assert second["rows"] == first["rows"]
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_the_python_way(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder()
    zoo("finetune", "quickstart/ssast", f"data.train={data}", *TINY_FINETUNE, "--out", "fine")
    model = package.load(tmp_path / "fine")
    log_mel = package.front_end(tmp_path / "fine")(torch.zeros(1, 8000))
    assert model(log_mel).shape == (1, 2)
    assert not model.training
    assert package.load(tmp_path / "fine", num_classes=5)(log_mel).shape == (1, 5)
    assert package.load(tmp_path / "fine", head=None)(log_mel).shape == (1, 16)
    assert package.load(tmp_path / "fine", n_frames=32)(log_mel[..., :32]).shape == (1, 2)


@pytest.mark.parametrize("recipe", ["pretrain/ssast-patch-base", "finetune/folder/ast-base", "quickstart/passt"])
def test_check_needs_no_data(zoo: Zoo, recipe: str) -> None:
    (report,) = json.loads(zoo("check", recipe, "--json").stdout)
    assert report["parameters"] > 1e5
    memory = report["memory_gib"]
    parts = ("weights", "gradients", "optimiser", "activations")
    assert sum(memory[part] for part in parts) == pytest.approx(memory["total"], abs=0.003)
    assert memory["optimiser"] == pytest.approx(8 * report["parameters"] / 2**30, abs=0.001)
    assert memory["total_on_a_gpu_in_bf16"] < memory["total"] + 0.1


def test_check_counts_and_traces(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder(clips=10)
    report = json.loads(
        zoo("check", "quickstart/ast", f"data.train={data}", *TINY_FINETUNE, "--trace", "--json").stdout
    )[0]
    assert (report["train_clips"], report["classes"], report["clips_to_see"], report["steps"]) == (20, 2, 16, 4)
    stages = {stage["stage"]: stage["shape"] for stage in report["trace"]["stages"]}
    assert stages["logits (B, C)"] == "(4, 2)"
    assert (tmp_path / "trace.png").stat().st_size > 1000


def test_models_lists_every_preset(zoo: Zoo) -> None:
    rows = json.loads(zoo("models", "--json").stdout)
    sizes = ("tiny", "small", "base")
    families = ("ast", "ssast-patch", "ssast-frame", "passt")
    expected = {f"{family}-{size}" for family in families for size in sizes}
    assert {row["name"] for row in rows} == expected | {"ast-minimal", "ast-sinusoidal", "cnn-baseline"}
    assert all({"name", "family", "parameters", "tokens", "flops_per_clip"} <= set(row) for row in rows)


def test_doctor_tells_what_is_installed(zoo: Zoo) -> None:
    report = json.loads(zoo("doctor", "--json").stdout)
    assert {check["name"] for check in report["checks"]} >= {"torch", "decoding", "torchaudio (resampling)"}
    assert all(check["ok"] or check["cure"] for check in report["checks"])
