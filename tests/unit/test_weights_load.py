"""Loading weights: what is copied, what starts afresh, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.errors import CheckpointError
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.load import initialise, load
from zoo.weights.source import find_checkpoint, read

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 1, "num_heads": 3, "n_frames": 64, "num_classes": 4, "num_masked": 9}


def save(folder: Path, pretraining: bool = False, **overrides: Any) -> Any:
    config = preset_config("ssast-patch-tiny", **{**SMALL, **overrides})
    model = build_model(config, pretraining=pretraining)
    described = {"model": config.model_dump(mode="json"), "pretraining": pretraining}
    save_checkpoint(folder, model.state_dict(), described)
    return model.eval()


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model, x = save(tmp_path / "c"), torch.randn(2, 128, 64)
    assert torch.equal(load(tmp_path / "c")(x), model(x))


def test_a_run_folder_means_its_last(tmp_path: Path) -> None:
    """The weights that the run's summary is about; the best ones were chosen on its evaluation clips."""
    save(tmp_path / "run/checkpoints/best")
    with pytest.raises(CheckpointError, match="expected a run folder"):
        find_checkpoint(tmp_path / "run")
    save(tmp_path / "run/checkpoints/last")
    assert find_checkpoint(tmp_path / "run").name == "last"
    assert find_checkpoint(tmp_path / "run/checkpoints/best").name == "best"


def test_other_classes_keep_the_backbone(tmp_path: Path) -> None:
    model, x = save(tmp_path / "c"), torch.randn(2, 128, 64)
    other: Any = load(tmp_path / "c", num_classes=7)
    assert torch.equal(other.features(x), model.features(x))
    assert other(x).shape == (2, 7)
    assert load(tmp_path / "c", num_classes=0)(x).shape == (2, 24)


def test_head_and_aggregator_are_replaced_or_removed(tmp_path: Path) -> None:
    model, x = save(tmp_path / "c"), torch.randn(2, 128, 64)
    assert torch.equal(load(tmp_path / "c", head=None)(x), model.features(x))
    assert torch.equal(load(tmp_path / "c", head=None, aggregator=None)(x), model.tokens(x))
    assert load(tmp_path / "c", head=zoo.MLPHead(24, 3))(x).shape == (2, 3)


def test_shorter_input_keeps_the_first_columns(tmp_path: Path) -> None:
    model, x = save(tmp_path / "c"), torch.randn(2, 128, 32)
    assert torch.equal(load(tmp_path / "c", n_frames=32)(x), model(x))


def test_pretraining_comes_back_whole_or_as_a_backbone(tmp_path: Path) -> None:
    model, x = save(tmp_path / "p", pretraining=True), torch.randn(2, 128, 64)
    keys = torch.tensor([1, 2])
    assert torch.equal(load(tmp_path / "p")(x, keys=keys).reconstruct.output, model(x, keys=keys).reconstruct.output)
    tuned: Any = load(tmp_path / "p", num_classes=5)
    assert torch.equal(tuned.tokens(x), model.backbone.tokens(x))
    assert tuned(x).shape == (2, 5)
    assert load(tmp_path / "p", pretraining=False)(x).shape == (2, 24)


def test_report_names_what_was_loaded_and_what_is_fresh(tmp_path: Path) -> None:
    save(tmp_path / "p", pretraining=True)
    model = build_model(preset_config("ssast-patch-tiny", **SMALL))
    report = initialise(model, read(tmp_path / "p"))
    assert set(report.fresh) == {"head.norm.weight", "head.norm.bias", "head.linear.weight", "head.linear.bias"}
    assert any(note.startswith("fresh: head.norm.weight") for note in report.notes)


def test_a_classifier_comes_along_only_when_asked_for(tmp_path: Path) -> None:
    """Of the same shape it may still be one for other labels."""
    saved = save(tmp_path / "c")
    model: Any = build_model(preset_config("ssast-patch-tiny", **SMALL))
    assert "head.linear.weight" in initialise(model, read(tmp_path / "c")).fresh
    assert not torch.equal(model.head.linear.weight, saved.head.linear.weight)
    assert initialise(model, read(tmp_path / "c"), with_head=True).fresh == ()
    assert torch.equal(model.head.linear.weight, saved.head.linear.weight)


def test_passt_is_cut_to_a_shorter_input_too(tmp_path: Path) -> None:
    numbers = {**SMALL, "patchout_freq": 1, "patchout_time": 1}
    del numbers["num_masked"]
    config = preset_config("passt-tiny", **numbers)
    model = build_model(config).eval()
    save_checkpoint(tmp_path / "c", model.state_dict(), {"model": config.model_dump(mode="json")})
    x = torch.randn(2, 128, 32)
    assert torch.equal(load(tmp_path / "c", n_frames=32)(x), model(x))


@pytest.mark.parametrize("changes", [{"n_frames": 5}, {"n_frames": 0}, {"num_classes": -1}])
def test_impossible_changes_are_told(tmp_path: Path, changes: dict[str, int]) -> None:
    save(tmp_path / "c")
    with pytest.raises(zoo.RecipeError, match=r"load: .* expected"):
        load(tmp_path / "c", **changes)


def test_pretraining_starts_from_a_finetuned_backbone(tmp_path: Path) -> None:
    tuned = save(tmp_path / "c")
    model: Any = build_model(preset_config("ssast-patch-tiny", **SMALL), pretraining=True)
    report = initialise(model, read(tmp_path / "c"))
    assert torch.equal(model.backbone.embedding.position.table, tuned.embedding.position.table)
    assert "mask_token" in report.fresh


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"depth": 2}, "depth 1 there, 2 here - expected the same - set model.depth=1"),
        ({"embed_dim": 48, "num_heads": 6}, "embed_dim 24, num_heads 3 there, 48, 6 here"),
        ({"num_heads": 2}, "num_heads 3 there, 2 here"),  # which no tensor would show
        ({"mlp_ratio": 2.0}, "mlp_ratio 4 there, 2 here"),
    ],
)
def test_weights_of_another_size_are_refused(tmp_path: Path, overrides: dict[str, Any], words: str) -> None:
    save(tmp_path / "c")
    model = build_model(preset_config("ssast-patch-tiny", **{**SMALL, **overrides}))
    with pytest.raises(CheckpointError, match=words):
        initialise(model, read(tmp_path / "c"))


def test_weights_without_their_place_are_named(tmp_path: Path) -> None:
    """The minimal AST has no biases before its attention, and other parts by other names."""
    save(tmp_path / "c")
    small = {key: value for key, value in SMALL.items() if key != "num_masked"}
    with pytest.raises(CheckpointError, match=r"encoder\.blocks\.0\S*bias has no place in the model"):
        initialise(build_model(preset_config("ast-minimal", **small)), read(tmp_path / "c"))


def test_a_convolutional_network_and_a_transformer_have_nothing_in_common(tmp_path: Path) -> None:
    save(tmp_path / "c")
    network = build_model(preset_config("cnn-baseline", num_classes=4))
    with pytest.raises(CheckpointError, match=r"ssast\) are a transformer's and the model's \(cnn\) a convolutional"):
        initialise(network, read(tmp_path / "c"))
    save_checkpoint(tmp_path / "n", network.state_dict(), {"model": network.config.model_dump(mode="json")})
    with pytest.raises(CheckpointError, match=r"cnn\) are a convolutional network's and the model's \(ssast\) a trans"):
        initialise(build_model(preset_config("ssast-patch-tiny", **SMALL)), read(tmp_path / "n"))


def test_what_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no such folder"):
        load(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="file: found"):
        load(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match="nothing in it"):
        load(tmp_path / "folder")
    save(tmp_path / "c")
    with pytest.raises(CheckpointError, match="without pretraining heads"):
        load(tmp_path / "c", pretraining=True)
    (tmp_path / "c/config.json").write_text('{"model": {"kind": "ast", "depth": "many"}}')
    with pytest.raises(CheckpointError, match="does not describe a model"):
        load(tmp_path / "c")


def test_the_front_end_comes_with_the_checkpoint(tmp_path: Path) -> None:
    config = preset_config("ssast-patch-tiny", **SMALL)
    carried = AstFrontEndConfig(window="povey", normalise="clip")
    described = {"model": config.model_dump(mode="json"), "front_end": carried.model_dump(mode="json")}
    save_checkpoint(tmp_path / "c", build_model(config).state_dict(), described)
    assert zoo.front_end(tmp_path / "c").config == carried
    assert zoo.front_end("ast").config == AstFrontEndConfig()
    with pytest.raises(zoo.ShapeError, match=r"found 1 axes \(8000,\) - expected 2"):
        zoo.front_end("ast")(torch.zeros(8000))
    with pytest.raises(CheckpointError, match="asd: found no such folder or file, and no known checkpoint"):
        zoo.front_end("asd")
    save(tmp_path / "bare")
    with pytest.raises(CheckpointError, match="no front_end"):
        zoo.front_end(tmp_path / "bare")


def test_labels_come_with_the_classifier_they_name(tmp_path: Path) -> None:
    config = preset_config("ssast-patch-tiny", **SMALL)
    described = {"model": config.model_dump(mode="json"), "labels": ["a", "b", "c", "d"]}
    save_checkpoint(tmp_path / "c", build_model(config).state_dict(), described)
    model: Any = load(tmp_path / "c")
    assert model.labels == ("a", "b", "c", "d")
    other: Any = load(tmp_path / "c", num_classes=7)
    assert other.labels is None


def test_an_edited_config_is_told_in_one_line(tmp_path: Path) -> None:
    save(tmp_path / "c")
    config = json.loads((tmp_path / "c/config.json").read_text())
    (tmp_path / "c/config.json").write_text(json.dumps({**config, "front_end": {"kind": "ast", "n_mels": -3}}))
    for use in (load, zoo.front_end):
        with pytest.raises(CheckpointError, match="'front_end' is none of this zoo") as caught:
            use(tmp_path / "c")
        assert "\n" not in str(caught.value)
    (tmp_path / "c/config.json").write_text('{"model": ')
    with pytest.raises(CheckpointError, match=r"config\.json: found damaged JSON"):
        load(tmp_path / "c")


def test_a_zoo_folder_needs_no_own(tmp_path: Path) -> None:
    save(tmp_path / "c")
    with pytest.raises(CheckpointError, match=r"found own .* leave it out"):
        load(tmp_path / "c", own={"num_heads": 2})
