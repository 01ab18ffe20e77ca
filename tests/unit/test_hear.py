"""HEAR's interface: the numbers of hear21passt for PaSST, and any other model of the zoo behind it."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.audio.front_ends import FAMILIES
from zoo.audio.passt_front_end import PasstFrontEndConfig
from zoo.errors import CheckpointError, ShapeError
from zoo.models.passt import PasstConfig
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint
from zoo.use.hear import HearWrapper, get_scene_embeddings, get_timestamp_embeddings, load_model

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
CONFIG = PasstConfig(**SMALL, n_frames=998)
WINDOWS = {"max_model_window_ms": 1_000, "scene_hop_ms": 250}

pytestmark = pytest.mark.filterwarnings(
    "ignore:stft with return_complex=False",
    "ignore:.*torch.cuda.amp.autocast",
    "ignore:Input image size",
)


def _audio(batch: int, num_samples: int) -> Tensor:
    return 0.1 * torch.randn(batch, num_samples, generator=torch.Generator().manual_seed(num_samples))


def _model() -> Any:
    """Weights large enough for every part to show in the embeddings."""
    model = CONFIG.build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def _passt(**options: Any) -> HearWrapper:
    return HearWrapper(_model(), PasstFrontEndConfig().build(), **options)


def _official_name(name: str) -> str:
    """A key of the released PaSST by the zoo's name for it."""
    known = {
        "embedding.prefix.position": "new_pos_embed",
        "embedding.position.freq": "freq_new_pos_embed",
        "embedding.position.time": "time_new_pos_embed",
    }
    beginnings = {
        "embedding.prefix.": "",
        "embedding.patch.": "patch_embed.",
        "encoder.": "",
        "head.norm.": "head.0.",
        "head.linear.": "head.1.",
    }
    if name in known:
        return known[name]
    beginning = next(one for one in beginnings if name.startswith(one))
    return beginnings[beginning] + name.removeprefix(beginning)


def _official_state(model: nn.Module) -> dict[str, Tensor]:
    state = {_official_name(name): tensor for name, tensor in model.state_dict().items()}
    state["freq_new_pos_embed"] = state["freq_new_pos_embed"].T[None, :, :, None]  # (1, D, F, 1)
    state["time_new_pos_embed"] = state["time_new_pos_embed"].T[None, :, None]  # (1, D, 1, T)
    return state | {"head_dist.weight": torch.zeros(5, 24), "head_dist.bias": torch.zeros(5)}


@pytest.fixture
def released() -> ModuleType:
    """hear21passt's wrapper."""
    return pytest.importorskip("hear21passt.wrapper", reason="hear21passt, the peer, is not installed (extra `peers`)")


def _released_wrapper(model: nn.Module, released: ModuleType, **options: Any) -> Any:
    passt = pytest.importorskip(
        "hear21passt.models.passt", reason="hear21passt, the peer, is not installed (extra `peers`)"
    )
    preprocess = pytest.importorskip(
        "hear21passt.models.preprocess", reason="hear21passt, the peer, is not installed (extra `peers`)"
    )
    sizes = {"embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5, "stride": (10, 10)}
    net = passt.PaSST(img_size=(128, 998), distilled=True, **sizes)
    net.load_state_dict(_official_state(model))
    mel = preprocess.AugmentMelSTFT(fmin_aug_range=10, fmax_aug_range=2_000)
    return released.PasstBasicWrapper(mel=mel, net=net, **options).eval()


@pytest.mark.parametrize("mode", ["all", "embed_only", "logits"])
def test_the_numbers_are_those_of_hear21passt(mode: str, released: ModuleType) -> None:
    ours = _passt(mode=mode, **WINDOWS)
    theirs = _released_wrapper(ours.model, released, mode=mode, max_model_window=1_000, scene_hop=250)
    for num_samples in (6_000, 32_000, 57_123):  # within a window, a window, more
        audio = _audio(3, num_samples)
        with torch.no_grad():
            expected, (moments, when) = theirs.get_scene_embeddings(audio), theirs.get_timestamp_embeddings(audio)
        torch.testing.assert_close(get_scene_embeddings(audio, ours), expected, rtol=0, atol=2e-5)
        embeddings, milliseconds = get_timestamp_embeddings(audio, ours)
        torch.testing.assert_close(embeddings, moments, rtol=0, atol=2e-5)
        torch.testing.assert_close(milliseconds, when, rtol=0, atol=0)
        assert embeddings.std() > 100 * 2e-5  # a tolerance that would show


def test_other_windows(released: ModuleType) -> None:
    ours = _passt(timestamp_window_ms=333.3, timestamp_hop_ms=71)
    theirs = _released_wrapper(ours.model, released, timestamp_window=333.3, timestamp_hop=71)
    audio = _audio(2, 20_000)
    with torch.no_grad():
        moments, when = theirs.get_timestamp_embeddings(audio)
    embeddings, milliseconds = ours.get_timestamp_embeddings(audio)
    torch.testing.assert_close(embeddings.detach(), moments, rtol=0, atol=2e-5)
    torch.testing.assert_close(milliseconds, when, rtol=0, atol=1e-3)


def test_sizes() -> None:
    for mode, size in {"all": 29, "embed_only": 24, "logits": 5}.items():
        wrapper = _passt(mode=mode)
        assert (wrapper.sample_rate, wrapper.scene_embedding_size, wrapper.timestamp_embedding_size) == (
            32_000,
            size,
            size,
        )
        assert get_scene_embeddings(_audio(2, 8_000), wrapper).shape == (2, size)


def test_a_row_of_a_batch_is_the_clip_alone() -> None:
    wrapper, audio = _passt(**WINDOWS), _audio(3, 50_000)
    scene, (moments, _) = get_scene_embeddings(audio, wrapper), get_timestamp_embeddings(audio, wrapper)
    for row in range(3):
        alone = audio[row : row + 1]
        torch.testing.assert_close(get_scene_embeddings(alone, wrapper)[0], scene[row], rtol=0, atol=1e-5)
        torch.testing.assert_close(get_timestamp_embeddings(alone, wrapper)[0][0], moments[row], rtol=0, atol=1e-5)


def test_windows_go_through_the_model_together(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper, audio, sizes = _passt(), _audio(2, 32_000), []
    wrapper.model.encoder.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    together, _ = get_timestamp_embeddings(audio, wrapper)
    assert sizes == [2 * 21]
    monkeypatch.setattr("zoo.use.hear._SECONDS_AT_ONCE", 2)
    apart, _ = get_timestamp_embeddings(audio, wrapper)
    assert sizes[1:] == [12, 12, 12, 6]
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["ast-tiny", "ssast-patch-tiny", "ssast-frame-tiny", "passt-tiny", "cnn-baseline"])
@pytest.mark.parametrize("family", ["ast", "passt"])
def test_any_model_behind_any_front_end(name: str, family: str) -> None:
    sizes = {} if name.startswith("cnn") else SMALL
    model = zoo.build(name, **{**sizes, "num_classes": 5, "n_frames": 998})
    wrapper = HearWrapper(model, FAMILIES[family].build(), **WINDOWS)
    audio = _audio(2, wrapper.sample_rate * 3 // 2)
    scene, (moments, milliseconds) = get_scene_embeddings(audio, wrapper), get_timestamp_embeddings(audio, wrapper)
    assert scene.shape == (2, wrapper.scene_embedding_size)
    assert moments.shape == (2, 31, wrapper.timestamp_embedding_size)
    assert torch.equal(milliseconds, torch.arange(0.0, 1_501.0, 50.0).expand(2, -1))
    assert moments.isfinite().all()
    assert not torch.equal(moments[:, 0], moments[:, 9])


@pytest.mark.parametrize("num_samples", [1, 100, 2_560, 2_561])
def test_a_very_short_clip(num_samples: int) -> None:
    """Filled with zeros: to the shortest input of the model, and so far that it can be mirrored."""
    wrapper, audio = _passt(), _audio(1, num_samples)
    filled = nn.functional.pad(audio, (0, 16 * 320 - num_samples))
    torch.testing.assert_close(get_scene_embeddings(audio, wrapper), get_scene_embeddings(filled, wrapper))
    moments, milliseconds = get_timestamp_embeddings(audio, wrapper)
    assert moments.shape == (1, 2, 29)
    assert milliseconds.tolist() == [[0, 50]]
    assert moments.isfinite().all()


def test_nothing_is_drawn_and_no_gradient_kept() -> None:
    model = PasstConfig(**SMALL, n_frames=998, dropout=0.5, patchout_freq=3).build().train()
    wrapper = HearWrapper(model, PasstFrontEndConfig().build())
    audio = _audio(1, 16_000)
    wrapper.train()  # as an evaluation kit may
    first, again = get_scene_embeddings(audio, wrapper), get_scene_embeddings(audio, wrapper)
    assert torch.equal(first, again)
    assert not first.requires_grad


def test_what_does_not_fit_is_refused() -> None:
    front_end = PasstFrontEndConfig().build()
    with pytest.raises(ShapeError, match="max_model_window_ms: found 2000 frames - expected at most the 1005"):
        _passt(max_model_window_ms=20_000)
    with pytest.raises(ShapeError, match="timestamp_hop_ms: found 0 ms - expected at least a sample"):
        _passt(timestamp_hop_ms=0)
    headless = PasstConfig(**{**SMALL, "num_classes": 0}, n_frames=998).build()
    with pytest.raises(ShapeError, match=r"mode 'all' with a model that has no head .* use mode='embed_only'"):
        HearWrapper(headless, front_end)
    assert HearWrapper(headless, front_end, "embed_only").scene_embedding_size == 24
    with pytest.raises(ShapeError, match="waveform: found 1 axes"):
        get_scene_embeddings(torch.zeros(8_000), _passt())
    with pytest.raises(ShapeError, match="waveform: found 3 axes"):
        get_timestamp_embeddings(torch.zeros(1, 1, 8_000), _passt())


def _save(folder: Path, family: str | None, name: str = "passt-tiny", pretraining: bool = False, **fields: Any) -> Any:
    config = preset_config(name, **{**SMALL, **fields})
    model = build_model(config, pretraining=pretraining)
    described: dict[str, Any] = {"model": config.model_dump(mode="json"), "pretraining": pretraining}
    if family is not None:
        described["front_end"] = FAMILIES[family].model_dump(mode="json")
    save_checkpoint(folder, model.state_dict(), described)
    return model.eval()


@pytest.mark.parametrize(
    ("n_frames", "window", "hop"),
    [(998, 10, 2.5), (2_000, 20, 5), (3_000, 30, 10), (200, 2, 0.5)],
)
def test_a_checkpoint_brings_its_front_end_and_windows(n_frames: int, window: int, hop: float, tmp_path: Path) -> None:
    model = _save(tmp_path / "c", "passt", n_frames=n_frames, patchout_freq=0, patchout_time=0)
    wrapper = load_model(str(tmp_path / "c"))
    assert (wrapper.max_model_window, wrapper.scene_hop) == (window * 32_000, hop * 32_000)
    expected = HearWrapper(model, PasstFrontEndConfig().build(), max_model_window_ms=1_000)
    audio = _audio(1, 20_000)
    torch.testing.assert_close(get_scene_embeddings(audio, wrapper), get_scene_embeddings(audio, expected))


def test_a_pretrained_checkpoint_gives_features(tmp_path: Path) -> None:
    _save(tmp_path / "c", "ast", "ssast-patch-tiny", pretraining=True, n_frames=64, num_masked=9)
    wrapper = load_model(tmp_path / "c")
    assert wrapper.mode == "embed_only"
    assert get_scene_embeddings(_audio(2, 16_000), wrapper).shape == (2, 24)
    assert wrapper.max_model_window < 16_000  # 64 frames are less than a second: all of them are used


def test_what_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    _save(tmp_path / "bare", None, n_frames=64, patchout_freq=0, patchout_time=0)
    with pytest.raises(CheckpointError, match="carries no front end - expected the one"):
        load_model(tmp_path / "bare")
    with pytest.raises(CheckpointError, match="load_model: found no path"):
        load_model()
