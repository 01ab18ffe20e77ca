"""AST's front end against the numbers of the released code, one clip at a time and as one padded batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden import Golden, golden_paths
from torch import Tensor

from zoo.audio.front_end import AstFrontEndConfig, FrontEnd

PATHS = golden_paths("ast_fbank")


def _front_ends(golden: Golden) -> tuple[FrontEnd, FrontEnd]:
    """Without normalising, since (x - 0) / (2 * 0.5) is x, and with."""
    official = golden.meta["constructor"]
    sizes = {"sample_rate": official["sample_rate"], "n_mels": official["num_mel_bins"]}
    plain = AstFrontEndConfig(**sizes, mean=0.0, std=0.5)
    normalised = AstFrontEndConfig(**sizes, mean=official["mean"], std=official["std"])
    return plain.build(), normalised.build()


def _clips(golden: Golden) -> dict[str, Tensor]:
    return {case: torch.from_numpy(samples) for case, samples in golden.inputs().items()}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_log_mel_equals_the_released_code(path: Path) -> None:
    golden = Golden(path)
    plain, normalised = _front_ends(golden)
    outputs: dict[str, np.ndarray] = {}
    for case, clip in _clips(golden).items():
        outputs[f"fbank_{case}"] = plain(clip[None])[0].T.numpy()
        outputs[f"final_{case}"] = normalised(clip[None], n_frames=golden.meta["constructor"]["target_length"])[0].T
    golden.compare(outputs)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_padded_batch_equals_the_released_code(path: Path) -> None:
    golden = Golden(path)
    plain, normalised = _front_ends(golden)
    clips = _clips(golden)
    num_samples = torch.tensor([clip.shape[0] for clip in clips.values()])
    batch = torch.full((len(clips), int(num_samples.max())), 0.7)  # padding that would show
    for row, clip in zip(batch, clips.values(), strict=True):
        row[: clip.shape[0]] = clip
    log_mel = plain(batch, num_samples)
    final = normalised(batch, num_samples, golden.meta["constructor"]["target_length"])
    outputs: dict[str, np.ndarray] = {}
    for row, (case, clip) in enumerate(clips.items()):
        outputs[f"fbank_{case}"] = log_mel[row, :, : plain.num_frames(clip.shape[0])].T.numpy()
        outputs[f"final_{case}"] = final[row].T.numpy()
    golden.compare(outputs)
