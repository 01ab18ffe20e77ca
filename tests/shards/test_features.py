"""Stored log-mels: what the front end gives for the whole clip, cropped; only normalisation is left to the run."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.shards.conftest import read
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.byte_range import ByteRange
from zoo.audio.decode import decode
from zoo.audio.front_end import FrontEnd
from zoo.audio.front_ends import FAMILIES, AnyFrontEndConfig
from zoo.audio.passt_front_end import PasstFrontEndConfig
from zoo.audio.unnormalised import log_mel_differences, without_normalisation
from zoo.data.batch import InputMaker
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.item import Key
from zoo.data.labels import LabelTable
from zoo.data.loader import Loader
from zoo.data.manifest import Manifest, SourceConfig, read_manifests
from zoo.data.open_reader import Reader, open_reader
from zoo.data.reader import ClipReader
from zoo.data.sampler import EpochSampler
from zoo.data.training_set import TrainingSet
from zoo.data.windows import Windows, read_lengths
from zoo.draws import clip_keys, uniform
from zoo.errors import DataError
from zoo.models.registry import presets
from zoo.run import FoundData
from zoo.use.audit import audit_manifests
from zoo.use.stats import data_statistics

KINDS = {
    "ast": AstFrontEndConfig(),
    "hf": FAMILIES["hf"],
    "clip": AstFrontEndConfig(normalise="clip"),
    "after": AstFrontEndConfig(pad="after_normalise", mean=-3.0),
    "passt": PasstFrontEndConfig(sample_rate=16_000, hop_length=160, win_length=400, n_fft=512),
}

Pack = Callable[..., Any]


def opened(
    manifest: Manifest, labels: LabelTable | None, front_end: FrontEnd, n_frames: int, min_frames: int
) -> tuple[Reader, int]:
    """A reader, and the length of `n_frames` as it counts."""
    reader, measure = open_reader(manifest, labels, front_end, min_frames)
    return reader, measure.num_samples(n_frames)


def beginnings(reader: Reader, length: int) -> EvaluationSet:
    return EvaluationSet(reader, Windows(read_lengths(reader), length, length, length, first_only=True))


@pytest.fixture(params=KINDS)
def config(request: pytest.FixtureRequest) -> AnyFrontEndConfig:
    return KINDS[request.param]


def packed(pack: Pack, source: Path, config: AnyFrontEndConfig, dtype: str = "float32", **options: Any) -> Manifest:
    fields = {"front_end": config, "dtype": dtype, "sample_rate": config.sample_rate, **options}
    out = source.parent.parent / f"features-{config.kind}-{dtype}"
    pack(source, out, mode="features", options=fields)
    return read(out, fields.get("labelled", True))


def whole(clip: Any, front_end: FrontEnd) -> Tensor:
    waveform = decode(clip.path, front_end.sample_rate, clip.start, clip.stop).waveform
    with torch.no_grad():
        return front_end(waveform[None])[0].as_subclass(Tensor)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_member_is_the_log_mel_of_the_whole_clip(
    dtype: str, config: AnyFrontEndConfig, csv_path: Path, pack: Pack
) -> None:
    """As (frames, bands), before normalisation: any program can read it."""
    shards = packed(pack, csv_path, config, dtype)
    assert shards.front_end == config
    raw = without_normalisation(config).build()
    for ours, theirs in zip(shards.clips, read(csv_path).clips, strict=True):
        assert (ours.id, ours.labels, ours.fold, ours.start, ours.stop) == (
            theirs.id,
            theirs.labels,
            theirs.fold,
            None,
            None,
        )
        assert isinstance(ours.path, ByteRange)
        found = np.load(io.BytesIO(ours.path.read()))
        expected = whole(theirs, raw).T
        assert found.dtype == dtype
        assert np.array_equal(found, expected.numpy().astype(dtype))


@pytest.mark.parametrize("epoch", [0, 1])
def test_crops_are_frames_of_it_drawn_like_those_of_waveforms(
    epoch: int, config: AnyFrontEndConfig, csv_path: Path, pack: Pack
) -> None:
    shards = packed(pack, csv_path, config)
    raw = without_normalisation(config).build()
    labels = LabelTable.from_manifest(shards, "multi-label")
    reader, length = opened(shards, labels, config.build(), 70, 30)
    assert isinstance(reader, Reader)
    assert length == 70
    data = TrainingSet(reader, length, seed=5)
    for index, clip in enumerate(read(csv_path).clips):
        expected = whole(clip, raw)
        item = data[Key(epoch, index)]
        assert item.waveform is None
        assert item.log_mel is not None
        assert (item.name, item.num_samples, item.bad) == (clip.id, min(max(30, expected.shape[1]), 70), ())
        spare = max(0, expected.shape[1] - 70)
        drawn = float(uniform(clip_keys(5, epoch, torch.tensor([item.id])), "crop", 1))
        first = int(drawn * (spare + 1))
        real = expected[:, first : first + 70]
        assert torch.equal(item.log_mel[:, : real.shape[1]], real)
        silence = config.build().silence
        assert torch.equal(item.log_mel[:, real.shape[1] :], torch.full_like(item.log_mel[:, real.shape[1] :], silence))


@pytest.mark.parametrize("padding", ["masked", "as_source"])
def test_evaluation_inputs_are_those_of_the_files(
    padding: Any, config: AnyFrontEndConfig, csv_path: Path, pack: Pack
) -> None:
    """Clips that are not cropped give the same inputs as their files, whatever mean and deviation the run has."""
    shards = packed(pack, csv_path, config)
    front_end = config.model_copy(update={"mean": 1.5, "std": 3.25}).build()
    maker = InputMaker(front_end, None, 0, padding, 320 if padding == "as_source" else None)
    inputs = []
    for manifest in (shards, read(csv_path)):
        reader, length = opened(manifest, None, front_end, 320, 1)
        loader = Loader(beginnings(reader, length), EpochSampler(8, 8, shuffle=False))
        (batch,) = loader.epoch(0)
        assert (batch.waveform is None) == (manifest is shards)
        inputs.append(maker(batch, 0, False))
    ours, theirs = inputs
    assert ours.names == theirs.names
    assert torch.equal(ours.keys, theirs.keys)
    assert ours.log_mel.shape == theirs.log_mel.shape
    if padding == "masked":
        assert ours.num_frames is not None
        assert theirs.num_frames is not None
        assert torch.equal(ours.num_frames, theirs.num_frames)
    else:
        assert ours.num_frames is theirs.num_frames is None
    differing = (ours.log_mel - theirs.log_mel).abs().amax(1) > 2e-3  # (B, T)
    if padding == "as_source" and config.kind == "passt":
        # There the zeros that fill a clip are part of its sound: they reach into its last frames.
        assert differing.sum(1).max() <= 3
    else:
        assert not differing.any()


def test_half_precision_stays_until_the_device(csv_path: Path, pack: Pack) -> None:
    shards = packed(pack, csv_path, KINDS["ast"], "float16")
    front_end = KINDS["ast"].build()
    reader, length = opened(shards, None, front_end, 50, 1)
    loader = Loader(TrainingSet(reader, length), EpochSampler(8, 4), pad_to=length)
    batch = next(loader.epoch(0))
    assert batch.log_mel is not None
    assert (batch.log_mel.dtype, tuple(batch.log_mel.shape)) == (torch.float16, (4, 128, 50))
    assert len(batch.to("cpu")) == 4
    assert InputMaker(front_end, None, 0)(batch, 0, True).log_mel.dtype == torch.float32


def test_workers_and_the_middle_of_an_epoch(csv_path: Path, pack: Pack) -> None:
    shards = packed(pack, csv_path, KINDS["ast"], "float16")
    found = []
    for workers in (0, 1):
        reader, length = opened(shards, None, KINDS["ast"].build(), 50, 1)
        loader = Loader(TrainingSet(reader, length, seed=1), EpochSampler(8, 3, seed=1), workers, length)
        found.append([*loader.epoch(0), *loader.epoch(1, 1)])
        loader.close()
    assert len(found[0]) == 5
    for one, other in zip(*found, strict=True):
        assert one.log_mel is not None
        assert other.log_mel is not None
        assert torch.equal(one.log_mel, other.log_mel)
        assert one.names == other.names


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_mels": 64}, "n_mels: 128 there, 64 here"),
        ({"hop_length": 320}, "hop_length: 160 there, 320 here"),
        ({"f_max": 7_000.0}, "f_max: 8000.0 there, 7000.0 here"),
        ({"subtract_mean": False}, "subtract_mean: True there, False here"),
        ({"window": "povey"}, "window: 'hann' there, 'povey' here"),
    ],
)
def test_another_front_end_is_refused(change: dict[str, Any], told: str, csv_path: Path, pack: Pack) -> None:
    shards = packed(pack, csv_path, KINDS["ast"])
    with pytest.raises(DataError) as caught:
        opened(shards, None, KINDS["ast"].model_copy(update=change).build(), 50, 1)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_counts_as_another_front_end() -> None:
    ast, passt = AstFrontEndConfig(), PasstFrontEndConfig()
    assert "kind" in log_mel_differences(ast, passt)
    for change in ({"mean": 1.0}, {"std": 9.0}, {"normalise": "clip"}, {"pad": "after_normalise"}, {"f_max": 8_000.0}):
        assert not log_mel_differences(ast, AstFrontEndConfig(**change))  # type: ignore[arg-type]
    still = PasstFrontEndConfig(f_min_range=1, f_max_range=1, f_max=15_000.0)
    assert not log_mel_differences(passt, still)  # edges are drawn around the same ones
    assert log_mel_differences(passt, PasstFrontEndConfig(f_max_range=1_000)) == {"f_max": (15_000.0, 15_500.0)}


def test_log_mels_and_audio_do_not_mix(csv_path: Path, pack: Pack) -> None:
    shards = packed(pack, csv_path, KINDS["ast"])
    with pytest.raises(DataError, match="stored log-mels - expected audio"):
        ClipReader(shards, None, 16_000)
    with pytest.raises(DataError, match=r"meta\.csv: audio, where .* is log-mels of ast at 16000 Hz"):
        read_manifests([SourceConfig(path=shards.source), SourceConfig(path=str(csv_path))])
    other = packed(pack, csv_path, KINDS["passt"])
    with pytest.raises(DataError, match="log-mels of passt"):
        read_manifests([SourceConfig(path=shards.source), SourceConfig(path=other.source)])
    again = Path(shards.source).with_name("again")
    fields = {"front_end": AstFrontEndConfig(mean=0.0), "dtype": "float16", "sample_rate": 16_000}
    pack(csv_path, again, mode="features", options=fields)
    both = read_manifests([SourceConfig(path=shards.source), SourceConfig(path=str(again))])
    assert both.front_end == KINDS["ast"]
    assert both.select(fold=3).front_end == KINDS["ast"]


def test_a_clip_shorter_than_a_window_has_a_frame(tmp_path: Path, pack: Pack) -> None:
    import soundfile

    folder = tmp_path / "short"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.ones(10, dtype=np.int16) * 1_000, 16_000)
    shards = packed(pack, folder, KINDS["ast"], labelled=False)
    reader, length = opened(shards, None, KINDS["ast"].build(), 50, 16)
    assert reader.length(0) == 1
    assert TrainingSet(reader, length)[Key(0, 0)].num_samples == 16


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"RIFF" + b"\0" * 400, "no log-mel"),
        (np.zeros((4, 128), np.float64), "no log-mel"),
        (np.zeros((4, 64), np.float16), "no log-mel of 128 bands"),
        (np.zeros((128, 4), np.float16).T, "no log-mel"),
        (np.zeros(512, np.float16), "no log-mel"),
        (np.full((4, 128), np.nan, np.float32), "NaN or Inf"),
        (np.array([{"a": 1}], dtype=object), "no log-mel"),
    ],
)
def test_members_that_hold_no_log_mel(content: Any, reason: str, csv_path: Path, pack: Pack) -> None:
    """Other content under the right name and size is bad audio, and no pickle in it is opened."""
    from zoo.data.shards.tar import TarWriter

    shards = packed(pack, csv_path, KINDS["ast"])
    clip = shards.clips[0]
    assert isinstance(clip.path, ByteRange)
    if not isinstance(content, bytes):
        file = io.BytesIO()
        np.save(file, content, allow_pickle=True)
        content = file.getvalue()
    writer = TarWriter(clip.path.path)
    member = writer.add(clip.path.member, len(content), io.BytesIO(content))
    writer.close()
    broken = ByteRange(clip.path.path, member.offset, member.size, member.name)
    manifest = Manifest((type(clip)(broken, "a"),), "here", front_end=shards.front_end)
    reader, length = opened(manifest, None, KINDS["ast"].build(), 50, 1)
    item = beginnings(reader, length)[Key(0, 0)]
    assert item.content is None
    (bad,) = item.bad
    assert reason in bad.reason
    assert bad.path == str(broken)


def test_a_bad_one_is_replaced_in_training(csv_path: Path, pack: Pack) -> None:
    shards = packed(pack, csv_path, KINDS["ast"])
    gone = ByteRange(Path("/nowhere/shard-000000.tar"), 512, 640, "a.npy")
    manifest = Manifest((type(shards.clips[0])(gone, "gone"), *shards.clips[1:]), "here", front_end=shards.front_end)
    reader, length = opened(manifest, None, KINDS["ast"].build(), 50, 1)
    item = TrainingSet(reader, length)[Key(0, 0)]
    assert item.log_mel is not None
    assert item.name != "gone"
    assert [(bad.name, bad.reason) for bad in item.bad] == [("gone", "missing")]


def test_what_looks_at_audio_says_that_there_is_none(csv_path: Path, pack: Pack) -> None:
    """The log-mels are whole: an audit must not call them damaged."""
    source = packed(pack, csv_path, KINDS["ast"]).source
    for look in (lambda: audit_manifests([source], workers=0), lambda: data_statistics(source, workers=0)):
        with pytest.raises(DataError, match="stored log-mels - expected audio"):
            look()


def test_the_same_clips_in_a_pack_and_in_files_are_told(csv_path: Path, pack: Pack) -> None:
    shards, files = packed(pack, csv_path, KINDS["ast"]), read(csv_path)
    for train, held_out in ((shards, files), (files, shards), (files, files), (shards, shards)):
        found = FoundData(train, held_out, None, None, presets()["cnn-baseline"])
        assert found.num_overlap == len(files)
