"""Clips of any length: windows cover them exactly, and the frames of every stretch are those that are promised."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.front_end import FrontEnd
from zoo.audio.passt_front_end import PasstFrontEndConfig
from zoo.data.clip import Clip
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.item import Collate, Key
from zoo.data.manifest import Manifest
from zoo.data.reader import ClipReader
from zoo.data.windows import WindowConfig, Windows, read_lengths
from zoo.nn.patch import num_real_columns
from zoo.run.evaluation_data import plan_windows

FRONT_ENDS: dict[str, FrontEnd] = {
    "ast": AstFrontEndConfig(n_mels=16).build(),
    "ast at 8 kHz": AstFrontEndConfig(
        n_mels=16, sample_rate=8_000, hop_length=100, win_length=150, n_fft=256, f_max=4_000.0
    ).build(),
    "passt": PasstFrontEndConfig(n_mels=16).build(),
    "passt at another hop": PasstFrontEndConfig(n_mels=16, hop_length=100).build(),
}


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 400), min_size=1, max_size=6),
    window=st.integers(1, 120),
    spare=st.integers(0, 30),
    hop=st.integers(1, 120),
)
def test_windows_cover_every_clip(lengths: list[int], window: int, spare: int, hop: int) -> None:
    hop, limit = min(hop, window), window + spare
    windows = Windows(lengths, limit, window, hop)
    found = [windows[row] for row in range(len(windows))]
    assert [one.clip for one in found] == sorted(one.clip for one in found)
    for clip, length in enumerate(lengths):
        own = [one for one in found if one.clip == clip]
        assert [one.number for one in own] == list(range(len(own)))
        assert [one.before for one in own] == [None, *(one.first for one in own[:-1])]
        if length == 0:
            assert [(one.first, one.length) for one in own] == [(0, window)]
            continue
        heard = np.zeros(length, dtype=int)
        for one in own:
            assert one.first >= 0
            assert one.first + one.length <= length
            heard[one.first : one.first + one.length] += 1
        assert heard.min() >= 1
        assert (len(own) == 1) == (length <= limit)
        if length > limit:
            assert {one.length for one in own} == {window}
            steps = np.diff([one.first for one in own])
            assert set(steps[:-1]) <= {hop}
            assert 1 <= steps[-1] <= hop  # no window more than is needed
        else:
            assert own[0].length == length


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(FRONT_ENDS)),
    lengths=st.lists(st.integers(1, 9_000), min_size=1, max_size=4),
    rate=st.sampled_from([8_000, 16_000, 22_050, 32_000, 44_100]),
    n_frames=st.integers(17, 40),
    long_clips=st.sampled_from(["windows", "whole", "beginning"]),
    overlap=st.sampled_from([0.0, 0.5, 0.9]),
)
def test_frames_are_exact_at_every_length(
    kind: str, lengths: list[int], rate: int, n_frames: int, long_clips: Any, overlap: float
) -> None:
    """Of files of any rate and any number of samples, for lengths of a model that no stride divides."""
    front_end = FRONT_ENDS[kind]
    model: Any = zoo.build("ast-tiny", n_mels=16, n_frames=n_frames, stride=(10, 7), embed_dim=6, depth=1)
    min_samples = front_end.num_samples(model.min_frames)
    config = WindowConfig(long_clips=long_clips, overlap=overlap, max_seconds=0.4)
    with tempfile.TemporaryDirectory() as folder:
        clips = []
        for i, length in enumerate(lengths):
            path = Path(folder) / f"{i}.wav"
            soundfile.write(path, np.random.default_rng(i).uniform(-0.1, 0.1, length).astype(np.float32), rate)
            clips.append(Clip(path, f"{i}"))
        reader = ClipReader(Manifest(tuple(clips), "s"), None, front_end.sample_rate, min_samples)
        counted = read_lengths(reader)
        assert counted.tolist() == [-(-length * front_end.sample_rate // rate) for length in lengths]
        windows = plan_windows(counted, model, front_end, config)
        data = EvaluationSet(reader, windows)
        items = [data[Key(0, row)] for row in range(len(data))]
    assert [item.num_samples for item in items] == np.maximum(windows.length, min_samples).tolist()
    assert min(item.num_samples for item in items) >= min_samples
    batch = Collate(None)(items)
    num_frames = front_end.num_frames(batch.num_samples)
    log_mel = front_end(batch.waveform, batch.num_samples).as_subclass(torch.Tensor)
    assert log_mel.shape[2] == front_end.num_frames(batch.waveform.shape[1]) == int(num_frames.max())
    for row, item in enumerate(items):
        assert item.waveform is not None
        alone = front_end(item.waveform[None])
        assert alone.shape[2] == int(num_frames[row])
    columns = num_real_columns(num_frames, model.config.patch_size, model.config.stride)
    assert int(columns.min()) >= 1
    long = torch.tensor([front_end.num_frames(int(counted[item.clip])) > model.max_frames for item in items])
    if long_clips == "windows":
        assert (num_frames[long] == n_frames).all()
        assert int(columns.max()) <= model.config.grid.time
    if long_clips == "beginning":
        assert int(num_frames.max()) <= n_frames
    if long_clips != "beginning":
        with torch.no_grad(), model.any_length():
            assert model.embedding.padding(num_frames, model.embedding.grid_for(log_mel.shape[2])) is not None
            assert model.eval()(log_mel, num_frames).isfinite().all()
