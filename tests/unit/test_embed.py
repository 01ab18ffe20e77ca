"""Embeddings against the tokens of the model itself, over windows worked out by hand, in both kinds of files."""

import builtins
import importlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

import zoo
from tests.unit.small_models import FAMILY, noise, save_small
from zoo.audio.decode import decode
from zoo.errors import CheckpointError, DataError, RecipeError, ShapeError, ZooError
from zoo.use.embed import embed_to_file


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    noise(tmp_path / "sounds/a.wav", 0.5)
    noise(tmp_path / "sounds/b.wav", 1.7, seed=1)
    noise(tmp_path / "sounds/c.wav", 0.02, seed=2)
    return tmp_path / "sounds"


def _tokens(model, wave: torch.Tensor, layer: int) -> torch.Tensor:
    """(F, T, D) of one stretch, alone."""
    with torch.no_grad():
        (tokens,), _ = model.layers(model.front_end.build()(wave[None]), wanted=[layer])
    return model.layout.on_grid(tokens, 128)[0]


@pytest.mark.parametrize("name", FAMILY)
def test_patches_and_frames_of_a_long_clip_by_hand(name: str, audio: Path, tmp_path: Path) -> None:
    """Windows of the model's length, begun so that the columns go on at one distance."""
    run = save_small(tmp_path / "c", name)
    model = zoo.load(run)
    front_end = model.front_end.build()
    wave = decode(audio / "b.wav", front_end.sample_rate).waveform
    columns = model.layout.grid(128, 64).time
    hop, step = front_end.config.hop_length, model.layout.stride[1]
    parts, times, start = [], [], 0
    while start + front_end.num_samples(model.layout.patch_size[1]) <= len(wave):
        part = _tokens(model, wave[start : start + front_end.num_samples(64)], model.depth)
        parts.append(part)
        middle = (model.layout.patch_size[1] - 1) / 2
        centres = [start + (t * step + middle) * hop + front_end.first_centre for t in range(part.shape[1])]
        times += [centre / front_end.sample_rate for centre in centres]
        start += columns * step * hop
    expected = torch.cat(parts, dim=1)
    assert len(parts) >= 3
    patches = zoo.embed(run, audio / "b.wav", level="patch")
    np.testing.assert_allclose(patches[0], expected.numpy(), atol=2e-4)
    np.testing.assert_allclose(patches.times, times, atol=1e-9)
    assert np.diff(patches.times) == pytest.approx(step * hop / front_end.sample_rate)  # through the seams
    assert patches.times[-1] < 1.7
    frames = zoo.embed(run, audio / "b.wav", level="frame")
    np.testing.assert_allclose(frames[0], expected.mean(0).numpy(), atol=2e-4)
    np.testing.assert_array_equal(frames.times, patches.times)
    assert patches.frequencies is not None
    assert len(patches.frequencies) == expected.shape[0]
    assert frames.frequencies is None


def test_clips_are_the_features(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", carried={"windows": {"long_clips": "windows", "overlap": 0.0}})
    model = zoo.load(run)
    found = zoo.embed(run, audio)
    assert [Path(one).name for one in found.paths] == ["a.wav", "b.wav", "c.wav"]
    assert found.embeddings.shape == (3, 24)

    def features(start: float, stop: float) -> torch.Tensor:
        with torch.no_grad():
            return model.features(model.front_end.build()(decode(audio / "b.wav", 16_000, start, stop).waveform[None]))[
                0
            ]

    window = model.front_end.build().num_samples(64) / 16_000
    mean = torch.stack([features(start, start + window) for start in (0.0, window, 1.7 - window)]).mean(0)
    np.testing.assert_allclose(found[1], mean.numpy(), atol=1e-5)


def test_layers_are_one_more_axis(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", "passt-tiny")
    model = zoo.load(run)
    every = {level: zoo.embed(run, audio, level=level, layers="all") for level in ("clip", "frame", "patch")}
    assert every["clip"].layers == (0, 1, 2)
    assert every["clip"].embeddings.shape == (3, 3, 24)
    assert every["frame"].embeddings.ndim == 3
    assert every["patch"].embeddings.shape[:2] == (3, model.layout.grid(128, 64).freq)
    for level, found in every.items():
        for layers, place in (("last", 2), ([1], 1), ("0", 0)):
            alone = zoo.embed(run, audio, level=level, layers=layers)
            np.testing.assert_array_equal(alone.embeddings, found.embeddings[place])
            np.testing.assert_array_equal(alone[1], found[1][place])
    turned = zoo.embed(run, audio, layers="2,0")
    np.testing.assert_array_equal(turned.embeddings, every["clip"].embeddings[[2, 0]])


def test_padding_that_is_seen_gives_no_frames(audio: Path, tmp_path: Path) -> None:
    """A checkpoint of released code pads to its length; frames that are not there are not given."""
    masked, seen = (save_small(tmp_path / name, carried={"padding": name}) for name in ("masked", "as_source"))
    for level in ("frame", "patch"):
        one, other = zoo.embed(masked, audio, level=level), zoo.embed(seen, audio, level=level)
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.offsets, other.offsets)
    assert not np.allclose(one[0], other[0], atol=1e-3)


def test_npz(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    (audio / "bad.wav").write_bytes(b"RIFF")
    found = zoo.embed(run, audio, level="patch", layers="all")
    report = embed_to_file(run, [audio], tmp_path / "e.npz", level="patch", layers="all")
    with np.load(tmp_path / "e.npz", allow_pickle=False) as file:
        assert set(file) == {"paths", "embeddings", "offsets", "times", "frequencies", "layers", "about"}
        np.testing.assert_array_equal(file["embeddings"], found.embeddings)
        first, last = file["offsets"][1:3]
        np.testing.assert_array_equal(file["embeddings"][:, :, first:last], found[1])
        assert file["paths"].tolist() == list(found.paths)
        about = json.loads(str(file["about"]))
    assert about["front_end"]["kind"] == "ast"
    assert [Path(one["path"]).name for one in about["bad_audio"]] == ["bad.wav"]
    assert report["rows"] == found.embeddings.size // 24
    assert (report["clips"], report["width"], len(report["bad_audio"])) == (3, 24, 1)
    embed_to_file(run, [audio], tmp_path / "half.npz", dtype="float16")
    with np.load(tmp_path / "half.npz") as file:
        assert set(file) == {"paths", "embeddings", "layers", "about"}
        assert file["embeddings"].dtype == np.float16
        np.testing.assert_allclose(file["embeddings"], zoo.embed(run, audio).embeddings, rtol=1e-3, atol=1e-3)


def test_parquet_has_a_row_for_every_vector(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = save_small(tmp_path / "c")
    monkeypatch.setattr("zoo.use.parquet._VALUES", 5_000)
    found = zoo.embed(run, audio, level="patch", layers="0,2")
    report = embed_to_file(run, [audio], tmp_path / "e.parquet", level="patch", layers="0,2")
    file = pyarrow.parquet.ParquetFile(tmp_path / "e.parquet")
    assert file.num_row_groups > 2
    table = file.read().to_pydict()
    file.close()
    assert list(table) == ["path", "time", "frequency", "layer", "embedding"]
    assert report["rows"] == len(table["path"]) == found.embeddings.size // 24
    place = np.random.default_rng(0).integers(0, len(table["path"]), 50)
    for row in place.tolist():
        clip = found.paths.index(table["path"][row])
        times = found.times[found.offsets[clip] : found.offsets[clip + 1]].tolist()
        t, f = times.index(table["time"][row]), found.frequencies.tolist().index(table["frequency"][row])
        expected = found[clip][(0, 2).index(table["layer"][row]), f, t]
        np.testing.assert_array_equal(np.float32(table["embedding"][row]), expected)
    metadata = file.schema_arrow.metadata
    assert json.loads(metadata[b"front_end"])["kind"] == "ast"
    assert metadata[b"checkpoint"].decode() == str(run)


@pytest.mark.parametrize(
    ("level", "columns"), [("clip", ["path", "embedding"]), ("frame", ["path", "time", "embedding"])]
)
def test_parquet_of_other_levels(level: str, columns: list[str], audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    embed_to_file(run, [audio], tmp_path / "e.parquet", level=level, dtype="float16")
    table = pyarrow.parquet.read_table(tmp_path / "e.parquet")
    assert table.column_names == columns
    found = zoo.embed(run, audio, level=level, dtype="float16")
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), dtype=np.float16), found.embeddings)


def test_without_pyarrow(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_import = importlib.import_module

    def without(name: str, package: str | None = None) -> object:
        if name.startswith("pyarrow"):
            raise builtins.ModuleNotFoundError(name)
        return true_import(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ZooError, match=r"pip install 'spectrogram-zoo\[parquet\]', or write an .npz"):
        embed_to_file(save_small(tmp_path / "c"), [audio], tmp_path / "e.parquet")


def test_what_does_not_fit_is_refused(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    for layers in ("5", "-1", "first", [0, 0], []):
        with pytest.raises(ShapeError, match=r"layers: found .* expected last, all, or different numbers from 0 to 2"):
            zoo.embed(run, audio, layers=layers)
    with pytest.raises(RecipeError, match=r"found the ending '\.csv' - expected \.npz or \.parquet"):
        embed_to_file(run, [audio], tmp_path / "e.csv")
    (tmp_path / "taken.npz").mkdir()
    with pytest.raises(CheckpointError, match=r"taken.npz: found no way to write it .*directory"):
        embed_to_file(run, [audio], tmp_path / "taken.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="found no way to write it"):
        embed_to_file(run, [audio], tmp_path / "file/e.npz")
    for ending in (".npz", ".parquet"):
        with pytest.raises(DataError, match="none of 1 can be used"):
            embed_to_file(run, [tmp_path / "gone.wav"], tmp_path / f"none{ending}")
        assert not (tmp_path / f"none{ending}").exists()
    model = zoo.load(run)
    model.aggregator = None
    with pytest.raises(ShapeError, match="found no aggregator"):
        zoo.embed(model, audio)
    assert zoo.embed(model, audio, level="frame").embeddings.shape[1] == 24
    with torch.no_grad():
        model.encoder.norm.weight.fill_(1e6)
    with pytest.raises(ZooError, match=r"not finite in float16 .* use float32"):
        zoo.embed(model, audio, level="frame", dtype="float16")
