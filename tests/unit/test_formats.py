"""Foreign checkpoints: told by their names, their geometry found or stated, and every misfit named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.errors import CheckpointError
from zoo.models.cost import build_on_meta
from zoo.models.registry import preset_config
from zoo.weights.formats import FORMATS
from zoo.weights.formats.geometry import Table, find_geometry
from zoo.weights.formats.hugging_face import HuggingFace
from zoo.weights.formats.key_map import KeyMap
from zoo.weights.formats.official_ast import OfficialAst
from zoo.weights.formats.official_passt import OfficialPasst
from zoo.weights.formats.official_ssast import OfficialSsast
from zoo.weights.formats.torch_only_ast import TorchOnlyAst
from zoo.weights.source import read

NARROW: dict[str, Any] = {"embed_dim": 64, "depth": 2, "num_heads": 1}


def official(
    format_: Any, preset: str, prefix: str = "", pretraining: bool = False, **fields: Any
) -> dict[str, Tensor]:
    """The state dict that the released code would have saved: random numbers under its names."""
    config = preset_config(preset, **{**NARROW, **fields})
    torch.manual_seed(0)
    shapes = build_on_meta(config, pretraining=pretraining).state_dict()
    state = {name: torch.randn(tensor.shape) for name, tensor in shapes.items()}
    return {prefix + name: tensor for name, tensor in format_.export(state, config).items()}


def write(tmp_path: Path, state: Any, name: str = "some.pth") -> Path:
    torch.save(state, tmp_path / name)
    return tmp_path / name


def test_names_in_both_directions() -> None:
    keys = KeyMap([("v.blocks.*.norm1.", "encoder.blocks.*.norm1."), ("v.pos", "pos"), ("w.pos", "pos")], ["v.head"])
    assert keys.to_zoo("v.blocks.11.norm1.bias") == "encoder.blocks.11.norm1.bias"
    assert keys.from_zoo("encoder.blocks.3.norm1.weight") == "v.blocks.3.norm1.weight"
    assert keys.to_zoo("w.pos") == "pos"
    assert keys.from_zoo("pos") == "v.pos"
    assert keys.to_zoo("v.blocks.x.norm1.bias") is keys.to_zoo("v.position") is None
    assert keys.is_unused("v.head")
    assert keys.knows(["v.head", "v.pos", "other"]) == 2


@pytest.mark.parametrize(
    ("num_patches", "stride", "n_frames"),
    [
        (1212, (10, 10), 1024),
        (850, (12, 12), 1024),
        (657, (14, 14), 1024),
        (512, (16, 16), 1024),
        (600, (10, 10), 512),
        (144, (10, 10), 128),
        (108, (10, 10), 100),
        (48, (16, 16), 100),
    ],
)
def test_the_stride_follows_from_the_positions(num_patches: int, stride: tuple[int, int], n_frames: int) -> None:
    """The table of the reference: every released AST, and the lengths of its recipes."""
    found = find_geometry(Table((16, 16), num_patches), {}, {})
    assert (found.stride, found.n_frames, found.n_mels) == (stride, n_frames, 128)


@pytest.mark.parametrize(
    ("num_patches", "step", "n_frames"), [(512, 2, 1024), (1023, 1, 1024), (511, 1, 512), (99, 1, 100)]
)
def test_frame_patches_have_one_row(num_patches: int, step: int, n_frames: int) -> None:
    found = find_geometry(Table((128, 2), num_patches), {}, {})
    assert (found.stride, found.n_frames) == ((128, step), n_frames)


def test_what_is_asked_for_is_the_files_own_only_if_it_fits() -> None:
    small, whole = Table((16, 16), 36), Table((16, 16), 1212)
    assert find_geometry(small, {}, {"n_mels": 64, "stride": (16, 16), "n_frames": 150}).n_frames == 150
    assert find_geometry(whole, {}, {"n_mels": 64, "stride": (16, 16), "n_frames": 512}).n_frames == 1024
    assert find_geometry(Table((16, 16), 144), {"stride": (16, 16), "n_frames": 300}, {}).stride == (16, 16)


def test_mixed_strides_are_asked_for() -> None:
    """1,010 places are 10 x 101 of 1,024 frames at stride 12 x 10, or of an unlikely length at 12 x 12."""
    with pytest.raises(CheckpointError, match=r"stride 12x10 of 128 mel bands and 1024 frames and stride 12x12"):
        find_geometry(Table((16, 16), 1010), {}, {})
    assert find_geometry(Table((16, 16), 1010), {"stride": (12, 10)}, {}).n_frames == 1024
    assert find_geometry(Table((16, 16), 1010), {}, {"stride": (12, 10), "n_frames": 1024}).stride == (12, 10)


def test_a_guess_is_called_one() -> None:
    """348 places are 12 x 29 at stride 10, but no released model has 296 frames."""
    found = find_geometry(Table((16, 16), 348), {}, {})
    assert (found.stride, found.n_frames) == ((10, 10), 296)
    note = found.note("348 positions")
    assert note is not None
    assert "a guess" in note
    assert find_geometry(Table((16, 16), 348), {"stride": (10, 10), "n_frames": 300}, {}).note("") is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (Table((16, 16), 7), "fits no released stride at 128 mel bands"),
        (Table((16, 16), 72), "stride 10x16 of 128 mel bands and 100 frames"),
        (
            Table((128, 2), 699),
            r"stride 128x1 of 128 mel bands and 700 frames and stride 128x2 .* own\.stride=\[128,1\]",
        ),
    ],
)
def test_an_unknown_grid_is_asked_for(table: Table, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        find_geometry(table, {}, {})


@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_ast(tmp_path: Path, prefix: str) -> None:
    state = official(OfficialAst(), "ast-tiny", prefix, n_frames=128, num_classes=35)
    model: Any = zoo.load(write(tmp_path, state))
    assert (model.config.kind, model.config.stride, model.config.n_frames) == ("ast", (10, 10), 128)
    assert torch.equal(model.head.linear.weight, state[f"{prefix}mlp_head.1.weight"])
    assert model.front_end.kind == "ast"
    assert set(read(tmp_path / "some.pth").unused) == {
        "v.head.weight",
        "v.head.bias",
        "v.head_dist.weight",
        "v.head_dist.bias",
    }


def test_the_file_name_means_nothing(tmp_path: Path) -> None:
    state = official(OfficialAst(), "ast-tiny", n_frames=128, num_classes=35)
    assert zoo.load(write(tmp_path, state, "passt-base-stride16.pt")).config.kind == "ast"


def test_a_finetuned_ssast_reloads(tmp_path: Path) -> None:
    """Which the released code cannot. Frames of all mel bands tell themselves; 16 x 16 patches have AST's names."""
    frames = official(OfficialAst(), "ssast-frame-tiny", "module.", stride=(128, 1), n_frames=128, num_classes=35)
    model: Any = zoo.load(write(tmp_path, frames))
    assert (model.config.kind, model.config.stride, type(model.aggregator).__name__) == (
        "ssast",
        (128, 1),
        "PatchMeanAggregator",
    )
    patches = write(
        tmp_path, official(OfficialAst(), "ssast-patch-tiny", stride=(10, 10), n_frames=512, num_classes=50)
    )
    as_ast: Any = zoo.load(patches)
    assert as_ast.config.kind == "ast"
    assert any("own.kind=ssast" in note for note in as_ast.load_notes)
    for stated in ({"own": {"kind": "ssast"}}, {"kind": "ssast"}):
        again: Any = zoo.load(patches, **stated)
        assert again.config.kind == "ssast"
        assert torch.equal(again.head.linear.weight, as_ast.head.linear.weight)


def test_ssast_pretraining_goes_on(tmp_path: Path) -> None:
    state = official(OfficialSsast(), "ssast-patch-tiny", "module.", True, n_mels=64, n_frames=256, num_masked=0.5)
    model: Any = zoo.load(write(tmp_path, state))
    assert type(model).__name__ == "MaskedPatchModel"
    assert (model.config.n_mels, model.config.n_frames) == (64, 256)
    assert torch.equal(model.mask_token, state["module.mask_embed"])
    assert torch.equal(model.classify.output.bias, state["module.cpredlayer.2.bias"])
    assert torch.equal(model.reconstruct.hidden.weight, state["module.gpredlayer.0.weight"])
    assert model(torch.randn(1, 64, 256)).classify.length.item() == 50  # 400 of 512, as a share of 64


@pytest.mark.parametrize(
    ("stride", "n_frames", "columns"), [(10, 998, 99), (12, 998, 83), (14, 998, 71), (16, 998, 62), (10, 3000, 300)]
)
def test_passt_tables_have_their_released_sizes(tmp_path: Path, stride: int, n_frames: int, columns: int) -> None:
    fields = {
        "stride": (stride, stride),
        "n_frames": n_frames,
        "patchout_freq": 0,
        "patchout_time": 0,
        "num_classes": 20,
    }
    state = official(OfficialPasst(), "passt-tiny", **fields)
    assert state["time_new_pos_embed"].shape == (1, 64, 1, columns)
    model: Any = zoo.load(write(tmp_path, state))
    assert (model.config.stride, model.config.n_frames) == ((stride, stride), n_frames)
    assert model.embedding.position.time.shape == (columns, 64)
    assert model.front_end.kind == "passt"


def torch_only(preset: str, pretraining: bool = False, **fields: Any) -> tuple[dict[str, Tensor], Any]:
    """A model and its state under TorchOnlyAST's names: positions folded into the tokens, width first."""
    model: Any = zoo.build(preset, pretraining=pretraining, **{**NARROW, **fields}).eval()
    ours = {name.removeprefix("backbone."): tensor for name, tensor in model.state_dict().items()}
    row = ours.pop("embedding.prefix.position")
    ours["embedding.prefix.cls_token"] = ours["embedding.prefix.cls_token"] + row[:, :1]
    ours["embedding.prefix.dist_token"] = ours["embedding.prefix.dist_token"] + row[:, 1:]
    state = {}
    for name, tensor in ours.items():
        key = TorchOnlyAst.keys.from_zoo(name)
        assert key is not None
        if name == "embedding.position.table":
            tensor = tensor.permute(2, 0, 1)
        elif name.startswith("embedding.position."):
            tensor = tensor.T
        state[key] = tensor.flatten() if name.endswith("_token") else tensor
    return state, model


@pytest.mark.parametrize("stride", [(10, 10), (16, 16)])
def test_torch_only_ast(tmp_path: Path, stride: tuple[int, int]) -> None:
    state, model = torch_only("ast-tiny", n_frames=128, num_classes=5, stride=stride)
    assert "backbone.layers.0.self_attn.in_proj_weight" in state
    path = write(tmp_path, {"model": state, "resolved_config": {"model": {"embedding": {"stride": list(stride)}}}})
    x = torch.randn(2, 128, 128)
    torch.testing.assert_close(zoo.load(path)(x), model(x))


def test_torch_only_ast_at_another_stride(tmp_path: Path) -> None:
    path = write(tmp_path, torch_only("ast-tiny", n_frames=1024, num_classes=5)[0])
    model: Any = zoo.load(path, stride=(16, 16))
    assert model.embedding.position.grid == (8, 64)
    assert any("positions: resample, 12x101 to 8x64" in note for note in model.load_notes)


@pytest.mark.parametrize("form", ["patch", "frame"])
def test_torch_only_ast_pretraining(tmp_path: Path, form: str) -> None:
    state, model = torch_only(f"ssast-{form}-tiny", pretraining=True, num_classes=0)
    again: Any = zoo.load(write(tmp_path, {"model": state}))
    x, keys = torch.randn(1, 128, 1024), torch.tensor([3])
    assert again.config.stride == again.config.patch_size
    torch.testing.assert_close(again(x, keys=keys).classify.output, model(x, keys=keys).classify.output)


def test_torch_only_ast_frames_with_a_head(tmp_path: Path) -> None:
    state, model = torch_only("ssast-frame-tiny", num_classes=5)
    again: Any = zoo.load(write(tmp_path, state))
    assert again.config.stride == (128, 2)
    x = torch.randn(1, 128, 1024)
    torch.testing.assert_close(again(x), model(x))


def test_torch_only_passt(tmp_path: Path) -> None:
    """Its tables have as many entries as patches fit."""
    state, model = torch_only("passt-tiny", n_frames=1000, num_classes=5)
    again: Any = zoo.load(write(tmp_path, state))
    assert (again.config.kind, again.config.stride) == ("passt", (10, 10))
    x = torch.randn(1, 128, 990)
    torch.testing.assert_close(again(x), model(x))


def test_passt_with_other_mel_bands(tmp_path: Path) -> None:
    path = write(tmp_path, official(OfficialPasst(), "passt-tiny", num_classes=5))
    for n_mels, rows in ((64, 5), (120, 11), (144, 13)):
        model: Any = zoo.load(path, n_mels=n_mels)
        assert model.embedding.position.grid == (rows, 99)
        assert any(f"positions: resample, 12x99 to {rows}x99" in note for note in model.load_notes)


def test_passt_keeps_the_norm_of_its_head_for_other_classes(tmp_path: Path) -> None:
    """As its released loader does; AST's and SSAST's make a new head."""
    passt = official(OfficialPasst(), "passt-tiny", num_classes=5)
    model: Any = zoo.load(write(tmp_path, passt), num_classes=7)
    assert torch.equal(model.head.norm.weight, passt["head.0.weight"])
    assert "fresh: head.linear.weight, head.linear.bias" in model.load_notes
    ast = official(OfficialAst(), "ast-tiny", n_frames=128, num_classes=5)
    fresh: Any = zoo.load(write(tmp_path, ast), num_classes=7)
    assert torch.equal(fresh.head.norm.weight, torch.ones(64))


def test_pretraining_goes_on_at_another_length(tmp_path: Path) -> None:
    """400 of 512 are assumed, for the file does not say; a smaller grid has the same share."""
    path = write(tmp_path, official(OfficialSsast(), "ssast-patch-tiny", pretraining=True))
    model: Any = zoo.load(path, n_frames=512, pretraining=True)
    assert model(torch.randn(1, 128, 512)).reconstruct.length.item() == 200


def test_hugging_face_names_of_both_versions(tmp_path: Path) -> None:
    """transformers 5 has other names in memory than in its files."""
    old = official(HuggingFace(), "ast-tiny", n_frames=128, num_classes=5)
    new = {}
    for key, tensor in old.items():
        for before, after in (
            ("encoder.layer.", "layers."),
            ("attention.attention.query", "attention.q_proj"),
            ("attention.attention.key", "attention.k_proj"),
            ("attention.attention.value", "attention.v_proj"),
            ("attention.output.dense", "attention.o_proj"),
            ("intermediate.dense", "mlp.fc1"),
            ("output.dense", "mlp.fc2"),
        ):
            key = key.replace(before, after)
        new[key] = tensor
    assert old.keys() != new.keys()
    x = torch.randn(1, 128, 128)
    first, second = zoo.load(write(tmp_path, old, "old.bin")), zoo.load(write(tmp_path, new, "new.bin"))
    assert torch.equal(first(x), second(x))
    assert first.config.norm_eps == first.config.head_norm_eps == 1e-12


def test_every_misfit_is_in_one_message(tmp_path: Path) -> None:
    state = official(OfficialAst(), "ast-tiny", "module.", n_frames=128, num_classes=35)
    for block in (0, 1):
        del state[f"module.v.blocks.{block}.norm1.bias"]
    state["module.extra"] = torch.zeros(1)
    state["module.v.blocks.1.mlp.fc2.weight"] = torch.zeros(3, 3)
    path = write(tmp_path, state)
    with pytest.raises(CheckpointError) as caught:
        zoo.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: looks like official AST, and does not fit it")
    assert "missing: v.blocks.0.norm1.bias, v.blocks.1.norm1.bias; unexpected: extra; misshapen: " in text
    assert "v.blocks.1.mlp.fc2.weight (3, 3) instead of (64, 256)" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v.norm.weight": torch.zeros(7)}, ["missing: v.cls_token", "misshapen: v.norm.weight (7,) instead of (64,)"]),
        ({"v.pos_embed": torch.zeros(1, 1213, 64)}, ["missing: v.cls_token", "found 1211 patch positions"]),
        (
            {"v.pos_embed": torch.zeros(146, 64)},
            ["missing: v.cls_token", "v.pos_embed (146, 64) instead of (1, 1214, 64)"],
        ),
        ({"v.norm.weight": torch.zeros(64, dtype=torch.int64)}, ["v.norm.weight of torch.int64 instead of floating"]),
    ],
)
def test_misfits_that_hide_the_geometry_are_all_told(
    tmp_path: Path, change: dict[str, Tensor], words: list[str]
) -> None:
    state = official(OfficialAst(), "ast-tiny", n_frames=128, num_classes=35) | change
    del state["v.cls_token"]
    with pytest.raises(CheckpointError) as caught:
        zoo.load(write(tmp_path, state))
    for word in words:
        assert word in str(caught.value)
    assert "looks like official AST" in str(caught.value)


def test_a_file_without_blocks_names_those_of_one(tmp_path: Path) -> None:
    state = official(OfficialAst(), "ast-tiny", n_frames=128, num_classes=35)
    bare = {key: tensor for key, tensor in state.items() if ".blocks." not in key}
    with pytest.raises(
        CheckpointError, match=r"missing: v\.blocks\.0\.attn\.proj\.bias, .*v\.blocks\.0\.norm2\.weight"
    ):
        zoo.load(write(tmp_path, bare))


def test_passt_misfits_have_the_files_own_shapes(tmp_path: Path) -> None:
    state = official(OfficialPasst(), "passt-tiny")
    state["freq_new_pos_embed"] = torch.zeros(1, 32, 12, 1)
    with pytest.raises(
        CheckpointError, match=r"freq_new_pos_embed \(1, 32, 12, 1\) \(so \(12, 32\)\) instead of \(12, 64\)"
    ):
        zoo.load(write(tmp_path, state))


@pytest.mark.parametrize(
    ("own", "words"), [({"num_heads": 5}, "looks like official AST: embed_dim: found 64"), ({"foo": 3}, "found 'foo'")]
)
def test_what_is_stated_wrongly_is_told(tmp_path: Path, own: dict[str, Any], words: str) -> None:
    path = write(tmp_path, official(OfficialAst(), "ast-tiny", n_frames=128, num_classes=35))
    with pytest.raises(CheckpointError, match=words):
        zoo.load(path, own=own)


def test_what_is_of_no_family_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, {f"layer{i}.weight": torch.zeros(2) for i in range(6)})
    with pytest.raises(CheckpointError, match="6 tensors of no known format"):
        zoo.load(path)


def test_widths_that_hide_the_heads_ask_for_them(tmp_path: Path) -> None:
    state = official(OfficialAst(), "ast-tiny", embed_dim=48, num_heads=4, n_frames=128, num_classes=3)
    path = write(tmp_path, state)
    with pytest.raises(CheckpointError, match=r"looks like official AST: found a width of 48.*own\.num_heads=N"):
        zoo.load(path)
    assert zoo.load(path, own={"num_heads": 4}).config.num_heads == 4


def test_formats_are_told_apart() -> None:
    """Each format's own files are known best by itself."""
    examples = {
        "official AST": official(OfficialAst(), "ast-tiny", n_frames=128),
        "official SSAST (pretraining)": official(OfficialSsast(), "ssast-frame-tiny", pretraining=True),
        "official PaSST": official(OfficialPasst(), "passt-tiny"),
        "Hugging Face AST": official(HuggingFace(), "ast-tiny", n_frames=128),
    }
    for name, state in examples.items():
        assert max(FORMATS, key=lambda one: one.knows(state.keys())).name == name
        assert max(FORMATS, key=lambda one: one.knows(state.keys())).knows(state.keys()) == len(state)


def test_heads_that_were_assumed_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, official(OfficialAst(), "ast-tiny", n_frames=128, num_classes=3))
    assert any("1 attention heads assumed, 64 wide each" in note for note in zoo.load(path).load_notes)
    assert not any("heads" in note for note in zoo.load(path, own={"num_heads": 2}).load_notes)
    released = write(
        tmp_path, official(OfficialAst(), "ast-tiny", embed_dim=192, num_heads=3, n_frames=128, num_classes=3)
    )
    assert not any("heads" in note for note in zoo.load(released).load_notes)
