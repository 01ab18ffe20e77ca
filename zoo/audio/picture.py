"""A log-mel as a picture with its axes in seconds and hertz."""

import warnings

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from zoo.audio.front_end import MelConfig
from zoo.audio.mel_bank import hertz_to_mel


def band_frequencies(front_end: MelConfig) -> Float[np.ndarray, "mel"]:
    """Centre of every mel band in hertz (Kaldi's mel scale)."""
    low_mel, high_mel = hertz_to_mel(torch.tensor(front_end.band_limits, dtype=torch.float64)).tolist()
    centres = low_mel + (high_mel - low_mel) * (np.arange(front_end.n_mels) + 1) / (front_end.n_mels + 1)
    return 700.0 * np.expm1(centres / 1127.0)


def rendered(figure: Figure) -> UInt8[np.ndarray, "height width 3"]:
    """A figure as an array. What its font lacks, such as names in Chinese, becomes boxes, and nothing is said of it."""
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_log_mels(
    log_mels: dict[str, Float[Tensor, "mel frame"]],
    front_end: MelConfig,
    step: tuple[int, int] | None = None,
    limits_of: Float[Tensor, "mel any_frame"] | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """Log-mels one under the other on one colour scale, low frequencies at the bottom.

    Args:
        log_mels: title -> picture; all are drawn with one set of colour limits.
        limits_of: the log-mel that sets the limits; None takes the first.
        step: (freq, time) from one patch to the next, drawn as a grid over the first picture; None draws none.
    """
    arrays = {title: log_mel.detach().float().cpu().numpy() for title, log_mel in log_mels.items()}
    first = next(iter(arrays.values()))
    reference = first if limits_of is None else limits_of.detach().float().cpu().numpy()
    low, high = float(np.percentile(reference, 1)), float(np.percentile(reference, 99.5))
    seconds_per_frame = front_end.hop_length / front_end.sample_rate
    n_mels, n_frames = first.shape
    width = min(14.0, max(5.0, n_frames / 60))
    above = 0.1 + 0.17 * max(title.count("\n") + 1 for title in arrays)  # inches, of every picture
    tall = above + 1.4 + 0.3
    height = tall * len(arrays) + 0.2
    figure = Figure(
        figsize=(width, height), dpi=80
    )  # laid out by hand: matplotlib's way takes twice as long as the rest
    frequencies = band_frequencies(front_end)
    hertz = [f for f in (125, 500, 1000, 2000, 4000) if frequencies[0] < f < frequencies[-1]]
    ticks = np.interp(hertz, frequencies, np.arange(n_mels))  # between two bands where none is centred on it
    for row, (title, array) in enumerate(arrays.items()):
        bottom = 0.2 + tall * (len(arrays) - 1 - row) + 0.3
        axes = figure.add_axes((0.65 / width, bottom / height, (width - 0.8) / width, 1.4 / height))
        extent = (0.0, array.shape[1] * seconds_per_frame, -0.5, n_mels - 0.5)
        axes.imshow(
            array, origin="lower", aspect="auto", extent=extent, vmin=low, vmax=max(high, low + 1e-3), cmap="magma"
        )
        axes.set_yticks(ticks, [f"{f:,}" for f in hertz], fontsize=7)
        axes.tick_params(axis="x", labelsize=7)
        axes.set_ylabel("Hz", fontsize=8)
        axes.set_title(title, fontsize=9, loc="left", parse_math=False)  # a $ in a name is a $
        if row == 0 and step is not None:
            axes.set_xticks(np.arange(0, n_frames + 1, step[1]) * seconds_per_frame, minor=True)
            axes.set_yticks(np.arange(0, n_mels + 1, step[0]) - 0.5, minor=True)
            axes.grid(which="minor", color="white", linewidth=0.4, alpha=0.6)
    axes.set_xlabel("seconds", fontsize=8)
    return rendered(figure)
