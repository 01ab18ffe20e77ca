"""Checkpoints out of the zoo and in again: nothing changes, nothing is half written, and what is lost is said."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import zoo
import zoo.weights.to_official
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.passt_front_end import PasstFrontEndConfig
from zoo.errors import CheckpointError, RecipeError
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint
from zoo.use.convert import parse_pairs
from zoo.weights.export import convert
from zoo.weights.source import read

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "n_frames": 64, "num_classes": 4}
LABELS = ["siren", "dog", "rain", "silence"]


def save(folder: Path, preset: str, pretraining: bool = False, described: Any = None, **fields: Any) -> Any:
    """A checkpoint folder with weights that make every part matter; returns the model."""
    config = preset_config(preset, **{**SMALL, **fields})
    model = build_model(config, pretraining=pretraining).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    about = {"labels": None if pretraining else LABELS[: config.num_classes], "task": None, **(described or {})}
    about = {"model": config.model_dump(mode="json"), "pretraining": pretraining, **about}
    save_checkpoint(folder, model.state_dict(), about)
    return model


def clip(n_mels: int = 128, n_frames: int = 64) -> Any:
    return torch.randn(2, n_mels, n_frames)


OFFICIAL = [
    ("ast-tiny", {}),
    ("ast-tiny", {"stride": (12, 14), "n_mels": 64, "n_frames": 100}),
    ("ssast-patch-tiny", {"stride": (10, 10)}),
    ("ssast-frame-tiny", {"stride": (128, 1)}),
    ("passt-tiny", {"patchout_freq": 1, "patchout_time": 1}),
    ("passt-tiny", {"stride": (16, 12), "n_frames": 100, "patchout_freq": 1, "patchout_time": 1}),
]


@pytest.mark.parametrize(("preset", "fields"), OFFICIAL)
def test_official_out_and_in_again(tmp_path: Path, preset: str, fields: dict[str, Any]) -> None:
    model = save(tmp_path / "c", preset, **fields)
    report = convert(tmp_path / "c", tmp_path / "c.pth", "official")
    assert report["max_difference"] == 0.0
    config = model.config
    own = {key: getattr(config, key) for key in ("kind", "num_heads", "stride", "n_mels", "n_frames")}
    back: Any = zoo.load(tmp_path / "c.pth", own=own)
    x = clip(config.n_mels, config.n_frames)
    assert torch.equal(back(x), model(x))
    assert back.config.kind == config.kind
    convert(tmp_path / "c.pth", tmp_path / "again", overrides={"own": own})
    again: Any = zoo.load(tmp_path / "again")
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize("preset", ["ssast-patch-tiny", "ssast-frame-tiny"])
def test_pretraining_goes_on_after_out_and_in(tmp_path: Path, preset: str) -> None:
    model = save(tmp_path / "c", preset, pretraining=True, num_masked=9)
    convert(tmp_path / "c", tmp_path / "c.pth", "official")
    own = {"num_heads": 3, "num_masked": 9, "num_classes": 4}
    back: Any = zoo.load(tmp_path / "c.pth", own=own)
    assert {name: tensor.tolist() for name, tensor in back.state_dict().items()} == {
        name: tensor.tolist() for name, tensor in model.state_dict().items()
    }
    x, keys = clip(), torch.tensor([3, 4])
    ours, theirs = model(x, keys=keys), back(x, keys=keys)
    assert torch.equal(ours.reconstruct.output, theirs.reconstruct.output)
    assert torch.equal(ours.classify.output, theirs.classify.output)


@pytest.mark.parametrize(
    ("preset", "pretraining", "extra"),
    [
        ("ast-tiny", False, {"v.head": (1000, 24), "v.head_dist": (1000, 24)}),
        ("ssast-patch-tiny", True, {"v.head": (1000, 24), "v.head_dist": (1000, 24)}),
        ("ssast-frame-tiny", False, {"v.head": (1000, 24), "v.head_dist": (1000, 24)}),
        ("passt-tiny", False, {"head_dist": (4, 24)}),
    ],
)
def test_tensors_that_the_released_classes_demand(
    tmp_path: Path, preset: str, pretraining: bool, extra: dict[str, tuple[int, ...]]
) -> None:
    fields = {"patchout_freq": 1, "patchout_time": 1} if preset.startswith("passt") else {"n_frames": 96}
    fields |= {"num_masked": 9} if pretraining else {}
    save(tmp_path / "c", preset, pretraining, **fields)
    convert(tmp_path / "c", tmp_path / "c.pth", "official")
    convert(tmp_path / "c", tmp_path / "bare.pth", "official", bare=True)
    state = torch.load(tmp_path / "c.pth", weights_only=True)
    bare = torch.load(tmp_path / "bare.pth", weights_only=True)
    before = "" if preset.startswith("passt") else "module."
    assert list(state) == [before + name for name in bare]
    for name, shape in extra.items():
        assert tuple(bare[f"{name}.weight"].shape) == shape
        assert tuple(bare[f"{name}.bias"].shape) == shape[:1]
    geometry = {name: (int(bare[name]), bare[name].dtype) for name in bare if name.startswith("p_input")}
    expected = {"p_input_fdim": (128, torch.int64), "p_input_tdim": (96, torch.int64)}
    assert geometry == (expected if pretraining else {})
    assert ("mask_embed" in bare) == pretraining
    assert ("mlp_head.1.weight" in bare) == (not pretraining and before != "")


def test_hugging_face_and_back_is_exact(tmp_path: Path) -> None:
    front_end = AstFrontEndConfig(mean=-6.5, std=5.25).model_dump(mode="json")
    about = {"task": "multi-label", "front_end": front_end, "history": [{"name": "x"}], "clips": 8}
    model = save(tmp_path / "c", "ast-tiny", described=about, norm_eps=1e-4, head_norm_eps=1e-3, drop_path=0.1)
    convert(tmp_path / "c", tmp_path / "hf", "hf")
    back: Any = zoo.load(tmp_path / "hf")
    x = clip()
    assert torch.equal(back(x), model(x))
    assert back.config == model.config
    assert back.labels == tuple(LABELS)
    assert back.front_end == AstFrontEndConfig(mean=-6.5, std=5.25)
    convert(tmp_path / "hf", tmp_path / "again")
    first, last = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("c", "again"))
    assert last == first
    first, last = (safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("c", "again"))
    assert first.keys() == last.keys()
    assert all(torch.equal(first[name], last[name]) for name in first)


def test_hugging_face_files_say_what_transformers_needs(tmp_path: Path) -> None:
    front_end = AstFrontEndConfig(sample_rate=8_000, hop_length=80, win_length=200, n_fft=256, normalise="none")
    about = {"task": "single-label", "front_end": front_end.model_dump(mode="json")}
    save(tmp_path / "c", "ast-tiny", described=about, stride=(12, 14))
    convert(tmp_path / "c", tmp_path / "hf", "hf")
    config = json.loads((tmp_path / "hf/config.json").read_text())
    assert config["architectures"] == ["ASTForAudioClassification"]
    assert (config["frequency_stride"], config["time_stride"]) == (12, 14)
    assert (config["num_mel_bins"], config["max_length"], config["intermediate_size"]) == (128, 64, 96)
    assert config["id2label"] == {"0": "siren", "1": "dog", "2": "rain", "3": "silence"}
    assert config["problem_type"] == "single_label_classification"
    extractor = json.loads((tmp_path / "hf/preprocessor_config.json").read_text())
    assert (extractor["sampling_rate"], extractor["max_length"], extractor["do_normalize"]) == (8000, 64, False)


@pytest.mark.parametrize(
    ("front_end", "fields"),
    [
        (AstFrontEndConfig(subtract_mean=False), []),
        (AstFrontEndConfig(subtract_mean=False, f_max=8000.0), []),
        (AstFrontEndConfig(), ["subtract_mean"]),
        (AstFrontEndConfig(window="povey", f_max=7000.0, pad="after_normalise"), ["subtract_mean", "window", "f_max"]),
        (AstFrontEndConfig(subtract_mean=False, hop_length=100), ["hop_length"]),
        (AstFrontEndConfig(subtract_mean=False, normalise="clip"), ["normalise"]),
        (PasstFrontEndConfig(), ["kind", "f_min", "f_max_range"]),
        (None, ["carries none"]),
    ],
)
def test_what_the_extractor_cannot_express_is_said(tmp_path: Path, front_end: Any, fields: list[str]) -> None:
    save(tmp_path / "c", "ast-tiny", described={"front_end": front_end and front_end.model_dump(mode="json")})
    report = convert(tmp_path / "c", tmp_path / "hf", "hf")
    notes = [note for note in report["notes"] if note.startswith("front end: ")]
    assert bool(notes) == bool(fields)
    assert len(notes) >= len(fields)
    for field in fields:
        assert any(field in note for note in notes), field
    back: Any = zoo.load(tmp_path / "hf")
    assert back.front_end == front_end


def test_without_labels_they_are_numbered(tmp_path: Path) -> None:
    save(tmp_path / "c", "ast-tiny", described={"labels": None})
    convert(tmp_path / "c", tmp_path / "hf", "hf")
    assert json.loads((tmp_path / "hf/config.json").read_text())["id2label"]["3"] == "LABEL_3"
    assert zoo.load(tmp_path / "hf").labels is None


def test_a_backbone_alone_goes_to_hugging_face_and_back(tmp_path: Path) -> None:
    model = save(tmp_path / "c", "ast-tiny", num_classes=0)
    report = convert(tmp_path / "c", tmp_path / "hf", "hf")
    assert json.loads((tmp_path / "hf/config.json").read_text())["architectures"] == ["ASTModel"]
    assert report["max_difference"] == 0.0  # the other epsilon is that of a head that it has not got
    assert not any(note.startswith("LayerNorm") for note in report["notes"])
    x = clip()
    assert torch.equal(zoo.load(tmp_path / "hf")(x), model(x))


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda folder: change_json(folder / "config.json", id2label={"0": "a", "1": "b", "2": "c", "3": "d"}),
            "config",
        ),
        (lambda folder: change_json(folder / "config.json", layer_norm_eps=1e-12), "config.json is not"),
        (lambda folder: change_json(folder / "preprocessor_config.json", mean=1.0), "preprocessor_config.json is not"),
        (lambda folder: change_json(folder / "zoo.json", model={"kind": "cnn"}), "its model is not"),
        (lambda folder: change_json(folder / "zoo.json", model={"kind": "ast", "depth": -1}), "damaged"),
        (lambda folder: (folder / "zoo.json").write_text('["no"'), "damaged"),
        (lambda folder: (folder / "zoo.json").write_text("[]"), "damaged"),
    ],
)
def test_a_sidecar_of_something_else_is_left_aside(tmp_path: Path, change: Any, words: str) -> None:
    save(tmp_path / "c", "ast-tiny", described={"front_end": AstFrontEndConfig().model_dump(mode="json")})
    convert(tmp_path / "c", tmp_path / "hf", "hf")
    change(tmp_path / "hf")
    model: Any = zoo.load(tmp_path / "hf")
    assert model.config.head_norm_eps == model.config.norm_eps  # as transformers would compute it
    assert any("zoo.json left aside" in note and words in note for note in model.load_notes), model.load_notes


def test_a_sidecar_of_other_weights_is_left_aside(tmp_path: Path) -> None:
    """Trained on in transformers, that is, where trunk and head had one epsilon."""
    save(tmp_path / "c", "ast-tiny")
    convert(tmp_path / "c", tmp_path / "hf", "hf")
    weights = tmp_path / "hf/model.safetensors"
    state = {name: tensor + 1 for name, tensor in safetensors.torch.load_file(weights).items()}
    safetensors.torch.save_file(state, weights)
    model: Any = zoo.load(tmp_path / "hf")
    assert model.config.head_norm_eps == 1e-6
    assert any("model.safetensors is not the one" in note for note in model.load_notes)


@pytest.mark.parametrize(("to", "theirs"), [("hf", (1e-4, 1e-4)), ("official", (1e-6, 1e-5))])
def test_the_measured_difference_is_the_true_one(tmp_path: Path, to: str, theirs: tuple[float, float]) -> None:
    model = save(tmp_path / "c", "ast-tiny", norm_eps=1e-4, head_norm_eps=1e-2).double()
    report = convert(tmp_path / "c", tmp_path / "out.pth", to)
    x = 0.5 * torch.randn(1, 128, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        ours = model(x)
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.eps = theirs[1] if name.startswith("head") else theirs[0]
        expected = (model(x) - ours).abs().max().item()
    assert report["max_difference"] == pytest.approx(expected, rel=1e-9)
    assert expected > 1e-6
    (note,) = [note for note in report["notes"] if note.startswith("LayerNorm epsilon")]
    assert f"{expected:.2e}" in note


def test_the_difference_of_a_pretraining_model_is_that_of_its_predictions(tmp_path: Path) -> None:
    save(tmp_path / "c", "ssast-patch-tiny", True, num_masked=9, norm_eps=1e-2, head_norm_eps=1e-2)
    assert convert(tmp_path / "c", tmp_path / "c.pth", "official")["max_difference"] > 1e-6
    save(tmp_path / "d", "ssast-patch-tiny", True, num_masked=9, head_norm_eps=1e-2)  # which it does not have
    report = convert(tmp_path / "d", tmp_path / "d.pth", "official")
    assert report["max_difference"] == 0.0
    assert not any(note.startswith("LayerNorm") for note in report["notes"])


def test_equal_epsilons_make_no_difference(tmp_path: Path) -> None:
    save(tmp_path / "c", "ast-tiny", norm_eps=1e-12, head_norm_eps=1e-12)
    report = convert(tmp_path / "c", tmp_path / "hf", "hf")
    assert report["max_difference"] == 0.0
    assert not any(note.startswith("LayerNorm") for note in report["notes"])


REFUSED = [
    ("hf", "ssast-patch-tiny", False, {}, "mean of its patches"),
    ("hf", "ssast-patch-tiny", True, {"num_masked": 9}, "kind 'ssast'"),
    ("hf", "passt-tiny", False, {"patchout_freq": 1, "patchout_time": 1}, "kind=ast"),
    ("hf", "ast-minimal", False, {}, "'ast-minimal'"),
    ("hf", "ast-tiny", False, {"patch_size": (16, 8)}, "16x8"),
    ("official", "ast-minimal", False, {}, "no other has released code"),
    ("official", "ast-sinusoidal", False, {}, "no other has released code"),
    ("official", "ast-tiny", False, {"num_classes": 0}, "no classifier"),
    ("official", "ast-tiny", False, {"patch_size": (8, 8)}, "8x8"),
    ("official", "ssast-patch-tiny", True, {"patch_size": (8, 8), "stride": (8, 8), "num_masked": 9}, "256 values"),
    ("official", "passt-tiny", False, {"stride": (8, 8), "patchout_freq": 1, "patchout_time": 1}, "grid of 15x7"),
]


@pytest.mark.parametrize(("to", "preset", "pretraining", "fields", "words"), REFUSED)
def test_what_a_format_has_no_place_for(
    tmp_path: Path, to: str, preset: str, pretraining: bool, fields: dict[str, Any], words: str
) -> None:
    save(tmp_path / "c", preset, pretraining, **fields)
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "c", tmp_path / "out.pth", to)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_passt_becomes_an_ast_of_its_length(tmp_path: Path) -> None:
    """The row and the column of a patch add up to one position; what PaSST's error promises."""
    model = save(tmp_path / "c", "passt-tiny", patchout_freq=1, patchout_time=1)
    convert(tmp_path / "c", tmp_path / "hf", "hf", {"kind": "ast"})
    x = clip()
    torch.testing.assert_close(zoo.load(tmp_path / "hf")(x), model(x), rtol=0, atol=1e-6)


def test_our_own_folder_keeps_what_still_holds(tmp_path: Path) -> None:
    about = {
        "task": "multi-label",
        "history": [{"name": "x"}],
        "front_end": AstFrontEndConfig().model_dump(mode="json"),
    }
    model = save(tmp_path / "c", "ast-tiny", described=about)
    convert(tmp_path / "c", tmp_path / "same")
    same = read(tmp_path / "same")
    assert same.config == read(tmp_path / "c").config
    assert torch.equal(zoo.load(tmp_path / "same")(x := clip()), model(x))
    convert(tmp_path / "c", tmp_path / "other", overrides={"num_classes": 7, "n_frames": 48})
    other = read(tmp_path / "other")
    assert (other.config["labels"], other.config["task"]) == (None, None)
    assert other.config["history"] == [{"name": "x"}]
    assert (other.model_config.n_frames, other.origin) == (48, "zoo")


def test_weights_of_released_code_stay_so(tmp_path: Path) -> None:
    """Other positions of a converted folder follow the released rule, as those of the file itself do."""
    save(tmp_path / "c", "ast-tiny", n_frames=128)
    convert(tmp_path / "c", tmp_path / "c.pth", "official")
    convert(tmp_path / "c.pth", tmp_path / "folder", overrides={"own": {"num_heads": 3}})
    x = clip(n_frames=64)
    direct: Any = zoo.load(tmp_path / "c.pth", n_frames=64, own={"num_heads": 3})
    assert any("positions: official" in note for note in direct.load_notes)
    assert torch.equal(zoo.load(tmp_path / "folder", n_frames=64)(x), direct(x))
    assert read(tmp_path / "folder").is_released
    assert not read(tmp_path / "c").is_released


def test_a_model_of_another_kind_follows_the_rule_of_its_kind(tmp_path: Path) -> None:
    save(tmp_path / "c", "ast-tiny", n_frames=128)
    convert(tmp_path / "c", tmp_path / "c.pth", "official")
    convert(tmp_path / "c.pth", tmp_path / "p", overrides={"kind": "passt", "own": {"num_heads": 3}})
    assert read(tmp_path / "p").rule == "passt"
    assert zoo.load(tmp_path / "p", kind="ast", n_frames=64)(clip()).shape == (2, 4)


def test_an_image_model_becomes_an_ast_without_a_classifier(tmp_path: Path) -> None:
    image = save(tmp_path / "c", "ast-tiny", n_mels=64, stride=(16, 16), num_classes=0)
    state = {name.removeprefix("v."): tensor for name, tensor in _official_names(image).items()}
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].repeat(1, 3, 1, 1)
    torch.save(state, tmp_path / "deit.pth")
    convert(tmp_path / "deit.pth", tmp_path / "zoo", overrides={"own": {"num_heads": 3}, "n_frames": 96})
    loaded = read(tmp_path / "zoo")
    assert (loaded.model_config.num_classes, loaded.model_config.n_frames, loaded.rule) == (0, 96, "ast")
    with pytest.raises(CheckpointError, match="no classifier"):
        convert(tmp_path / "zoo", tmp_path / "ast.pth", "official")


def _official_names(model: Any) -> dict[str, torch.Tensor]:
    table, prefix = model.embedding.position.table.detach(), model.embedding.prefix
    named = {
        "v.cls_token": prefix.cls_token,
        "v.dist_token": prefix.dist_token,
        "v.pos_embed": torch.cat([prefix.position, table.flatten(0, 1)[None]], dim=1),
    }
    for name, tensor in model.state_dict().items():
        if name.startswith("encoder."):
            named[f"v.{name.removeprefix('encoder.')}"] = tensor
        elif name.startswith("embedding.patch."):
            named[f"v.patch_embed.{name.removeprefix('embedding.patch.')}"] = tensor
    return {name: tensor.detach().clone() for name, tensor in named.items()}


def test_what_is_drawn_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    save(tmp_path / "c", "ast-tiny")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    convert(tmp_path / "c", tmp_path / "a", overrides={"num_classes": 9})
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    convert(tmp_path / "c", tmp_path / "b", overrides={"num_classes": 9})
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


@pytest.mark.parametrize(("to", "name"), [("zoo", "out"), ("hf", "out"), ("official", "out.pth")])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, to: str, name: str) -> None:
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    save(tmp_path / "c", "ast-tiny")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=rf"{name}: found no way to write it \(.*File too large") as caught:
            convert(tmp_path / "c", tmp_path / name, to)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("to", ["hf", "official"])
def test_a_bug_while_writing_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    save(tmp_path / "c", "ast-tiny")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("our own mistake")

    monkeypatch.setattr(safetensors.torch, "save_file", broken)
    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(RuntimeError, match="our own mistake"):
        convert(tmp_path / "c", tmp_path / "out.pth", to)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_an_official_export_is_read_back_from_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an error there names the file that the user asked for."""
    save(tmp_path / "c", "ast-tiny")
    exact, read_back = zoo.weights.to_official.read, []

    def noted(source: Path, *arguments: Any) -> Any:
        read_back.append(source)
        return exact(source, *arguments)

    monkeypatch.setattr(zoo.weights.to_official, "read", noted)
    convert(tmp_path / "c", tmp_path / "c.pth", "official")
    assert set(read_back) == {tmp_path / "c.pth"}


@pytest.mark.parametrize(("to", "name"), [("zoo", "out"), ("hf", "out"), ("official", "out.pth")])
def test_what_is_there_is_not_touched(tmp_path: Path, to: str, name: str) -> None:
    save(tmp_path / "c", "ast-tiny")
    (tmp_path / name).write_text("mine")
    with pytest.raises(CheckpointError, match="found a file"):
        convert(tmp_path / "c", tmp_path / name, to)
    assert (tmp_path / name).read_text() == "mine"
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    if to != "official":
        convert(tmp_path / "c", tmp_path / name, to)  # an empty folder is as good as none
    else:
        (tmp_path / name / "note.txt").touch()
    with pytest.raises(CheckpointError, match="found a folder"):
        convert(tmp_path / "c", tmp_path / name, to)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"to": "onnx"}, "zoo, hf, official"),
        ({"bare": True}, "bare"),
        ({"overrides": {"head": None}}, "num_classes=0"),
        ({"overrides": {"pretraining": "no"}}, "true or false"),
        ({"overrides": {"own": 3}}, "own.num_heads=3"),
        ({"overrides": {"stride": 10}}, "stride: found 10"),
        ({"overrides": {"n_mels": "many"}}, "n_mels: found 'many'"),
        ({"overrides": {"own": {"num_heads": [3]}}}, r"own: num_heads: found \[3\]"),
        ({"overrides": {"strides": [10, 10]}}, "did you mean 'stride'"),
        ({"overrides": {"n frames": 64}}, "did you mean 'n_frames'"),
        ({"overrides": {"positions": "linear"}}, "positions: found 'linear'"),
    ],
)
def test_requests_that_make_no_sense(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    save(tmp_path / "c", "ast-tiny")
    with pytest.raises(RecipeError, match=words) as caught:
        convert(tmp_path / "c", tmp_path / "out", **arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_pairs_are_keywords() -> None:
    pairs = ["n_frames=512", "stride=[10, 12]", "kind=passt", "own.num_heads=3", "own.kind=ssast", "pretraining=false"]
    assert parse_pairs(pairs) == {
        "n_frames": 512,
        "stride": [10, 12],
        "kind": "passt",
        "pretraining": False,
        "own": {"num_heads": 3, "kind": "ssast"},
    }
    assert parse_pairs([]) == {}
    assert parse_pairs(["n_frames=64", "n_frames=64"]) == {"n_frames": 64}  # no contradiction


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["n_frames"], "'n_frames' - expected KEY=VALUE"),
        (["n_frames="], "n_frames: no value after '=' - write n_frames=null"),
        (["own.=3"], "expected KEY=VALUE"),
        (["=3"], "expected KEY=VALUE"),
        (["n_frames=64", "n_frames=32"], "n_frames: given twice"),
        (["own.depth=2", "own.depth=3"], "own.depth: given twice"),
        (["own={depth: 2}", "own.num_heads=3"], "own: given as a whole and by its fields"),
        (["own.stride=[10,"], "own.stride: .*never closed"),
        (["norm_eps=.nan"], "norm_eps: .*finite"),
    ],
)
def test_pairs_that_cannot_be_read(pairs: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        parse_pairs(pairs)
    assert "\n" not in str(caught.value)


def test_every_wrong_pair_is_told() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_pairs(["a", "b=", "c=[1"])
    assert len(str(caught.value).splitlines()) == 3


def test_an_official_export_is_a_file(tmp_path: Path) -> None:
    save(tmp_path / "c", "ast-tiny")
    with pytest.raises(CheckpointError, match=r"write .*out\.pth"):
        convert(tmp_path / "c", tmp_path / "out", "official")


def test_how_to_read_the_file_again_is_said_and_true(tmp_path: Path) -> None:
    model = save(tmp_path / "c", "ssast-patch-tiny", stride=(10, 10), norm_eps=1e-3)
    (note,) = [n for n in convert(tmp_path / "c", tmp_path / "c.pth", "official")["notes"] if "read it with" in n]
    stated = dict(text.removeprefix("own.").split("=") for text in note.split("read it with ")[1].split())
    assert stated.keys() >= {"kind", "num_heads", "norm_eps"}
    words = ("kind", "mask_sampler", "encode")
    own = {key: value if key in words else json.loads(value) for key, value in stated.items()}
    back: Any = zoo.load(tmp_path / "c.pth", own=own)
    assert back.config == model.config
    assert torch.equal(back(x := clip()), model(x))


def test_the_released_class_is_named(tmp_path: Path) -> None:
    save(tmp_path / "c", "ast-tiny", embed_dim=192, depth=12, num_classes=35)
    notes = convert(tmp_path / "c", tmp_path / "c.pth", "official")["notes"]
    call = "ASTModel(fstride=10, tstride=10, input_fdim=128, input_tdim=64, label_dim=35, model_size='tiny224')"
    assert any(call in note for note in notes), notes
    save(tmp_path / "d", "ast-tiny")
    notes = convert(tmp_path / "d", tmp_path / "d.pth", "official")["notes"]
    assert any("no model_size" in note for note in notes)
