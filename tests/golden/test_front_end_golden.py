"""Clips of different length in one padded batch: each has the numbers of the released code, which knows no batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from golden import DATA, Golden, golden_paths
from kinds import KINDS
from kinds.front_ends import clips_of
from torch import Tensor

from zoo.audio.front_end import FrontEnd

PATHS = [path for path in golden_paths(DATA) if Golden(path).kind in ("ast_fbank", "passt_mel", "hf_feature_extractor")]


class InABatch:
    """Answers a single clip out of a batch of all, padded with what would show."""

    def __init__(self, front_end: FrontEnd, clips: dict[str, Tensor]) -> None:
        self.front_end = front_end
        self.config = front_end.config
        self.num_samples = torch.tensor([clip.shape[0] for clip in clips.values()])
        self.batch = torch.full((len(clips), int(self.num_samples.max())), 0.7)
        for row, clip in zip(self.batch, clips.values(), strict=True):
            row[: clip.shape[0]] = clip
        self.clips = list(clips.values())

    def __call__(self, clip: Tensor, n_frames: int | None = None, band_edges: Any = None) -> Tensor:
        row = next(i for i, other in enumerate(self.clips) if torch.equal(other, clip[0]))
        stated = {} if band_edges is None else {"band_edges": tuple(e.expand(len(self.clips)) for e in band_edges)}
        log_mel = self.front_end(self.batch, self.num_samples, n_frames, **stated)
        width = self.front_end.num_frames(clip.shape[1]) if n_frames is None else n_frames
        return log_mel[row : row + 1, :, :width]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_clip_in_a_padded_batch_has_the_released_numbers(path: Path, tmp_path: Path) -> None:
    golden = Golden(path)
    kind = KINDS[golden.kind]
    built, clips = kind.build(golden, tmp_path), clips_of(golden)
    in_a_batch: Any = (
        tuple(InABatch(one, clips) for one in built) if isinstance(built, tuple) else InABatch(built, clips)
    )
    golden.compare(kind.compute(golden, in_a_batch))
