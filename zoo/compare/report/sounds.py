"""The audio of clips by their names: as the models hear it, small enough for a page."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from zoo.audio.decode import Decoded, UnusableAudio
from zoo.audio.front_end import FrontEnd
from zoo.audio.picture import band_frequencies
from zoo.compare.report.collect import Run
from zoo.compare.report.drawing import drawing
from zoo.compare.report.markup import Html
from zoo.data.manifest import Manifest, SourceConfig, read_manifests
from zoo.data.open_reader import open_reader
from zoo.errors import ZooError
from zoo.recipe import Recipe

MOST_SECONDS = 10.0
_HERTZ = (500, 1000, 2000, 4000, 8000)


@dataclass(frozen=True)
class Sound:
    """What the page shows and plays of a clip."""

    log_mel: Float[Tensor, "mel frame"]
    """Behind the front end, of the whole clip up to `MOST_SECONDS`."""
    waveform: Float[np.ndarray, "sample"] | None
    """Mono, at the front end's rate; None for clips that are stored as log-mels."""
    is_cut: bool
    """The clip goes on."""


def find_sounds(names: Sequence[str], runs: Iterable[Run], front_end: FrontEnd) -> dict[str, Sound]:
    """The clips that can be found and read, through the data that the runs' recipes name.

    Judged clips are looked for first; manifests are read only as long as clips are missing.
    """
    wanted, found = set(names), dict[str, Sound]()
    seen: set[str] = set()
    for recipe, sources in _sources(runs):
        key = repr(sources)
        if key in seen or not wanted - set(found):
            continue
        seen.add(key)
        try:  # with labels as in the run, since ids of a folder's clips depend on that
            clips = read_manifests(sources, recipe.data.columns, recipe.objective.kind == "classification")
        except ZooError:
            continue
        found |= _read(clips, wanted - set(found), front_end)
    return found


def _sources(runs: Iterable[Run]) -> Iterable[tuple[Recipe, tuple[SourceConfig, ...]]]:
    """Of every recipe the clips it is judged on, those it is watched on, and those it trains on, in that order."""
    recipes = [run.recipe for run in runs if run.recipe is not None]
    for name in ("test", "eval", "train"):
        for recipe in recipes:
            sources = getattr(recipe.data, name, None)
            if sources:
                yield recipe, sources


def _read(clips: Manifest, names: set[str], front_end: FrontEnd) -> dict[str, Sound]:
    """Those of the names that are among these clips and can be read."""
    places = {clip.id: i for i, clip in enumerate(clips.clips) if clip.id in names}
    if not places:
        return {}
    try:
        reader, measure = open_reader(clips, None, front_end, 1)
    except ZooError:
        return {}
    most = round(MOST_SECONDS * measure.sample_rate)
    found = {}
    for name, index in places.items():
        try:
            read = reader.read(index, 0, most + 1)
        except UnusableAudio:
            continue
        item = reader.item(index, read)
        if isinstance(read, Decoded):
            waveform = item.waveform[:most]  # type: ignore[index]
            with torch.no_grad():
                log_mel = front_end(waveform[None])[0]
            found[name] = Sound(log_mel, waveform.numpy(), read.length > most)
        else:
            found[name] = Sound(read.log_mel[:, :most].float(), None, read.length > most)
    return found


def player_source(waveform: Float[np.ndarray, "sample"], sample_rate: int) -> str:
    """A `data:` address of the sound as FLAC, which every browser of today plays and which loses nothing."""
    buffer = io.BytesIO()
    peak = float(np.abs(waveform).max(initial=0.0))
    soundfile.write(buffer, waveform / max(peak, 1.0), sample_rate, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def log_mel_picture(sound: Sound, front_end: FrontEnd, told: str) -> Html:
    """Frequencies from low to high, time from left to right; axes in hertz and seconds."""
    config: Any = front_end.config
    array = sound.log_mel.numpy()
    low, high = np.percentile(array, (1, 99.5))
    frequencies = band_frequencies(config)
    hertz = [f for f in _HERTZ if frequencies[0] < f < frequencies[-1]]
    ticks = np.interp(hertz, frequencies, np.arange(len(frequencies)))
    seconds = array.shape[1] * config.hop_length / config.sample_rate
    levels = np.clip((array - low) / max(high - low, 1e-3), 0, 1)
    with drawing(4.3, 1.75, told) as made:
        axes = made.axes()
        extent = (0.0, seconds, -0.5, len(frequencies) - 0.5)
        axes.imshow(levels, origin="lower", aspect="auto", extent=extent, vmin=0, vmax=1, cmap="magma")
        axes.grid(visible=False)
        axes.set_yticks(ticks, [f"{f:,}" for f in hertz], fontsize=7)
        axes.set_ylabel("Hz")
        axes.set_xlabel("seconds")
    return made.svg
