"""docs/coming-from.md: every row is evaluated, and gives what it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import zoo
import zoo.use.hear
from zoo.models.cost import build_on_meta
from zoo.models.registry import preset_config
from zoo.weights import source
from zoo.weights.catalogue import Known
from zoo.weights.formats.hugging_face import HuggingFace
from zoo.weights.formats.official_ast import OfficialAst
from zoo.weights.formats.official_passt import OfficialPasst
from zoo.weights.formats.official_ssast import OfficialSsast

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/coming-from.md"
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| there")
]
NARROW: dict[str, Any] = {"embed_dim": 64, "depth": 1, "num_heads": 1}
FLAGS = (
    "label_dim fstride tstride input_fdim input_tdim imagenet_pretrain audioset_pretrain tiny224 small224 base224 "
    "base384 fshape tshape s_patchout_t s_patchout_f u_patchout"
)


def _written(path: Path, format_: Any, preset: str, pretraining: bool = False, **fields: Any) -> None:
    """A narrow official file: one layer of 64 channels."""
    config = preset_config(preset, **{**NARROW, **fields})
    shapes = build_on_meta(config, pretraining=pretraining).state_dict()
    state = {name: torch.randn(tensor.shape) * 0.05 for name, tensor in shapes.items()}
    torch.save(format_.export(state, config), path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the document names, small."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("files")
    _written(folder / "audioset_10_10_0.4593.pth", OfficialAst(), "ast-base")
    _written(folder / "audioset_16_16_0.4422.pth", OfficialAst(), "ast-base", stride=(16, 16))
    _written(folder / "SSAST-Base-Patch-400.pth", OfficialSsast(), "ssast-patch-base", True)
    _written(folder / "SSAST-Base-Frame-400.pth", OfficialSsast(), "ssast-frame-base", True)
    tuned = {"stride": (10, 10), "n_frames": 512, "num_classes": 50}
    _written(folder / "best_audio_model.pth", OfficialAst(), "ssast-patch-base", **tuned)
    _written(folder / "passt-s-f128-p16-s10-ap.476-swa.pt", OfficialPasst(), "passt-base")
    deit = {"n_mels": 384, "n_frames": 384, "stride": (16, 16), "num_classes": 0}
    _written(folder / "deit.pth", OfficialAst(), "ast-base", **deit)
    state = {key.removeprefix("v."): tensor for key, tensor in torch.load(folder / "deit.pth").items()}
    state["patch_embed.proj.weight"] = torch.randn(64, 3, 16, 16)
    torch.save({"model": state}, folder / "deit.pth")
    (folder / "hf-folder").mkdir()
    _written(folder / "hf.pth", HuggingFace(), "ast-base", num_classes=2)
    hf = {f"audio_spectrogram_transformer.{k}" if not k.startswith("classifier") else k: v.contiguous()
          for k, v in torch.load(folder / "hf.pth").items()}  # fmt: skip
    safetensors.torch.save_file(
        {
            key.replace("audio_spectrogram_transformer." * 2, "audio_spectrogram_transformer."): v
            for key, v in hf.items()
        },
        folder / "hf-folder/model.safetensors",
    )
    config = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 256}
    config |= {"model_type": "audio-spectrogram-transformer", "id2label": {"0": "Speech", "1": "Music"}}
    (folder / "hf-folder/config.json").write_text(json.dumps(config))
    (folder / "hf-folder/preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16000}))
    return folder


@pytest.fixture
def names(files: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the expressions can use. Known names lead to the small files instead of a download."""

    def fetch(known: Known) -> Path:
        return files / ("deit.pth" if known.family == "deit" else known.file)

    monkeypatch.setattr(source, "fetch_with_bar", fetch)
    monkeypatch.setattr(source, "find", lambda name: _narrow(zoo.weights.catalogue.find(name)))
    monkeypatch.chdir(files)
    x = torch.randn(2, 1024, 128)
    return {"zoo": zoo, "torch": torch, "x": x, "log_mel": x.mT, "waveform": 0.1 * torch.randn(2, 32000)}


def _narrow(known: Known) -> Known:
    own = {**known.own, **NARROW} | ({"n_mels": 384, "n_frames": 384} if known.family == "deit" else {})
    return known.model_copy(update={"own": own})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_row_holds(row: tuple[str, ...], names: dict[str, Any]) -> None:
    there, here, gives = row
    assert there
    device = "meta" if "zoo.build" in here else "cpu"
    with torch.device(device), torch.no_grad():
        it = eval(here.strip("`"), names)
        assert eval(gives.strip("`"), {**names, "it": it})


def test_every_flag_has_a_row() -> None:
    text = "\n".join(row[0] for row in ROWS)
    assert not [flag for flag in FLAGS.split() if not re.search(rf"\b{flag}\b", text)]


def test_a_transposed_log_mel_is_told(files: Path) -> None:
    model = zoo.load(files / "audioset_10_10_0.4593.pth")
    with pytest.raises(zoo.ShapeError, match=r"this is \(batch, frames, mels\): found \(2, 1024, 128\), so transpose"):
        model(torch.randn(2, 1024, 128))
