"""Hugging Face's AST and its feature extractor, live: the same numbers in both directions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.export import convert
from zoo.weights.source import read

transformers = pytest.importorskip("transformers", reason="transformers, the peer, is not installed (extra `peers`)")

CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-9}
GEOMETRIES = [
    {},
    {"stride": (16, 16)},
    {"stride": (12, 14), "n_frames": 100},
    {"n_mels": 64, "n_frames": 48, "patch_size": (8, 8), "stride": (8, 5)},
    {"embed_dim": 40, "num_heads": 5, "depth": 3, "mlp_ratio": 2.0, "num_classes": 2},
]


def fields(**changes: Any) -> dict[str, Any]:
    small = {"embed_dim": 24, "depth": 2, "num_heads": 3, "mlp_ratio": 4.0, "n_frames": 64, "num_classes": 4}
    return {"n_mels": 128, "patch_size": (16, 16), "stride": (10, 10), **small, **changes}


def theirs(eps: float = 1e-6, model: str = "ASTForAudioClassification", **changes: Any) -> Any:
    """transformers' model with weights that make every part matter."""
    numbers = fields(**changes)
    config = transformers.ASTConfig(
        hidden_size=numbers["embed_dim"],
        num_hidden_layers=numbers["depth"],
        num_attention_heads=numbers["num_heads"],
        intermediate_size=int(numbers["embed_dim"] * numbers["mlp_ratio"]),
        patch_size=numbers["patch_size"][0],
        frequency_stride=numbers["stride"][0],
        time_stride=numbers["stride"][1],
        num_mel_bins=numbers["n_mels"],
        max_length=numbers["n_frames"],
        layer_norm_eps=eps,
        num_labels=numbers["num_classes"],
    )
    peer = getattr(transformers, model)(config).eval()
    for parameter in peer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return peer


def ours(folder: Path, eps: float = 1e-6, described: Any = None, **changes: Any) -> Any:
    """Our model with such weights, and its checkpoint folder."""
    config = preset_config("ast-tiny", **fields(norm_eps=eps, head_norm_eps=eps, **changes))
    model: Any = build_model(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_checkpoint(folder, model.state_dict(), {"model": config.model_dump(mode="json"), **(described or {})})
    return model


def clip(model: Any) -> torch.Tensor:
    return torch.randn(2, model.config.n_mels, model.config.n_frames, dtype=torch.float64)


def logits(peer: Any, log_mel: torch.Tensor) -> torch.Tensor:
    """Of a log-mel (B, n_mels, T); transformers wants time first."""
    return peer.double()(log_mel.mT).logits


@pytest.mark.parametrize("changes", GEOMETRIES)
@pytest.mark.parametrize("eps", [1e-6, 1e-12, 1e-3])
def test_their_folder_loads_here(tmp_path: Path, changes: dict[str, Any], eps: float) -> None:
    peer = theirs(eps, **changes)
    peer.save_pretrained(tmp_path / "hf")
    model: Any = zoo.load(tmp_path / "hf").double()
    numbers = fields(**changes)
    assert {key: getattr(model.config, key) for key in numbers} == numbers
    x = clip(model)
    torch.testing.assert_close(model(x), logits(peer, x), **CLOSE)


@pytest.mark.parametrize("changes", GEOMETRIES)
@pytest.mark.parametrize("eps", [1e-6, 1e-12, 1e-3])
def test_our_folder_loads_there(tmp_path: Path, changes: dict[str, Any], eps: float) -> None:
    model = ours(tmp_path / "c", eps, **changes).double()
    convert(tmp_path / "c", tmp_path / "hf", "hf")
    peer, report = transformers.ASTForAudioClassification.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(report.values()), report
    x = clip(model)
    torch.testing.assert_close(logits(peer.eval(), x), model(x), **CLOSE)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_their_names_in_memory_as_a_bare_file(tmp_path: Path, prefix: str) -> None:
    """transformers 5 names a layer otherwise in memory than in its files; 1e-12 is assumed without a config."""
    peer = theirs(1e-12, embed_dim=128, num_heads=2, n_frames=512)
    state = peer.state_dict()
    assert any(".q_proj." in name for name in state)
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "bare.pth")
    model: Any = zoo.load(tmp_path / "bare.pth").double()
    x = clip(model)
    torch.testing.assert_close(model(x), logits(peer, x), **CLOSE)


def test_their_trunk_alone(tmp_path: Path) -> None:
    peer = theirs(model="ASTModel")
    peer.save_pretrained(tmp_path / "hf")
    model: Any = zoo.load(tmp_path / "hf").double()
    x = clip(model)
    found = peer.double()(x.mT)
    torch.testing.assert_close(model.tokens(x), found.last_hidden_state, **CLOSE)
    torch.testing.assert_close(model(x), found.pooler_output, **CLOSE)


def test_our_trunk_alone(tmp_path: Path) -> None:
    model = ours(tmp_path / "c", num_classes=0).double()
    convert(tmp_path / "c", tmp_path / "hf", "hf")
    peer, report = transformers.ASTModel.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(report.values()), report
    x = clip(model)
    torch.testing.assert_close(peer.eval().double()(x.mT).last_hidden_state, model.tokens(x), **CLOSE)


def test_without_biases_of_query_key_and_value(tmp_path: Path) -> None:
    peer = theirs()
    config = transformers.ASTConfig(**{**peer.config.to_dict(), "qkv_bias": False})
    peer = transformers.ASTForAudioClassification(config).eval()
    peer.save_pretrained(tmp_path / "hf")
    model: Any = zoo.load(tmp_path / "hf").double()
    x = clip(model)
    torch.testing.assert_close(model(x), logits(peer, x), **CLOSE)


def test_the_measured_difference_is_what_transformers_gives(tmp_path: Path) -> None:
    """With the released epsilons, of which transformers has room for one."""
    model = ours(tmp_path / "c", 1e-4).double()
    config = model.config.model_copy(update={"head_norm_eps": 1e-2})
    save_checkpoint(tmp_path / "two", model.float().state_dict(), {"model": config.model_dump(mode="json")})
    difference = convert(tmp_path / "two", tmp_path / "hf", "hf")["max_difference"]
    peer = transformers.ASTForAudioClassification.from_pretrained(tmp_path / "hf").eval()
    two: Any = zoo.load(tmp_path / "hf").double()  # with both epsilons, by way of zoo.json
    x = 0.5 * torch.randn(1, 128, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert difference == pytest.approx((logits(peer, x) - two(x)).abs().max().item(), abs=1e-9)
    assert difference > 1e-6


def test_labels_and_task_come_along_in_both_directions(tmp_path: Path) -> None:
    names = ["siren", "dog", "rain", "silence"]
    ours(tmp_path / "c", described={"labels": names, "task": "multi-label"})
    convert(tmp_path / "c", tmp_path / "hf", "hf")
    peer = transformers.ASTForAudioClassification.from_pretrained(tmp_path / "hf")
    assert [peer.config.id2label[index] for index in range(4)] == names
    assert peer.config.label2id == {name: index for index, name in enumerate(names)}
    assert peer.config.problem_type == "multi_label_classification"
    peer.save_pretrained(tmp_path / "saved")
    loaded = read(tmp_path / "saved")
    assert (loaded.config["labels"], loaded.config["task"]) == (names, "multi-label")


def test_saving_over_our_folder_does_not_bring_back_our_epsilon(tmp_path: Path) -> None:
    """Trained on in transformers, the head is one of the single epsilon; zoo.json is then about other weights."""
    ours(tmp_path / "c", described={"labels": None})
    two = {"norm_eps": 1e-4, "head_norm_eps": 1e-2}
    convert(tmp_path / "c", tmp_path / "two", overrides=two)
    convert(tmp_path / "two", tmp_path / "hf", "hf")
    peer = transformers.ASTForAudioClassification.from_pretrained(tmp_path / "hf").eval()
    with torch.no_grad():
        peer.classifier.dense.weight.mul_(2)
    peer.save_pretrained(tmp_path / "hf")
    model: Any = zoo.load(tmp_path / "hf").double()
    x = clip(model)
    torch.testing.assert_close(model(x), logits(peer, x), **CLOSE)


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"mean": -6.845978, "std": 5.5654526},
        {"normalise": "none"},
        {"sample_rate": 8_000, "hop_length": 80, "win_length": 200, "n_fft": 256, "n_mels": 40},
    ],
)
def test_their_extractor_reads_our_file(tmp_path: Path, numbers: dict[str, Any]) -> None:
    front_end = AstFrontEndConfig(subtract_mean=False, **numbers)
    described = {"front_end": front_end.model_dump(mode="json")}
    ours(tmp_path / "c", described=described, n_mels=front_end.n_mels)
    report = convert(tmp_path / "c", tmp_path / "hf", "hf")
    assert not any(note.startswith("front end") for note in report["notes"])
    extractor = transformers.ASTFeatureExtractor.from_pretrained(tmp_path / "hf")
    rate = front_end.sample_rate
    for num_samples in (rate // 4, rate):  # shorter and longer than the model's 64 frames
        wave = 0.3 * np.random.default_rng(num_samples).standard_normal(num_samples).astype(np.float32)
        given = extractor(wave, sampling_rate=rate, return_tensors="pt")["input_values"]
        found = front_end.build()(torch.from_numpy(wave)[None], n_frames=64)
        torch.testing.assert_close(found, given.mT, rtol=0, atol=1e-5)


def test_our_front_end_is_that_of_their_extractor(tmp_path: Path) -> None:
    extractor = transformers.ASTFeatureExtractor(mean=-5.5, std=3.5, max_length=64)
    theirs().save_pretrained(tmp_path / "hf")
    extractor.save_pretrained(tmp_path / "hf")
    front_end = zoo.front_end(tmp_path / "hf")
    wave = 0.3 * np.random.default_rng(0).standard_normal(8_000).astype(np.float32)
    given = extractor(wave, sampling_rate=16_000, return_tensors="pt")["input_values"]
    torch.testing.assert_close(front_end(torch.from_numpy(wave)[None], n_frames=64), given.mT, rtol=0, atol=1e-5)
