"""What masked-patch pretraining hides and guesses, as the run drew it for TensorBoard."""

import base64
from collections.abc import Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

from zoo.compare.report.collect import Contender, Run
from zoo.compare.report.markup import Html, section, tag

_TAGS = ("log_mel/input", "log_mel/masked", "log_mel/reconstructed")
_TOLD = ("what a clip is", "what the model sees of it", "what it makes of the hidden patches")
_MOST_BYTES = 200_000_000
"""Of event files: longer ones would take too long to read for three pictures."""
_MOST_RUNS = 4


def pretext_section(contenders: Sequence[Contender]) -> Html:
    """The last pictures of every pretraining run; empty where there is none."""
    runs = [(one, one.first) for one in contenders if one.first is not None and _is_pretraining(one.first)]
    parts = []
    for one, run in runs[:_MOST_RUNS]:
        assert run is not None
        pictures = last_pictures(run.folder)
        if all(name in pictures for name in _TAGS):
            figures = [_figure(pictures[name], f"{one.name}: {told}") for name, told in zip(_TAGS, _TOLD, strict=True)]
            parts.append(tag("div", *figures, class_="grid"))
    if not parts:
        return Html("")
    how = "The last evaluation of each pretraining run: low frequencies at the bottom, one colour scale for all three. "
    how += "The share of patches that are found among the hidden ones of the same clip is the pretext accuracy above."
    return section("pretext", "Masked and reconstructed", how, *parts)


def last_pictures(folder: Path) -> dict[str, bytes]:
    """Tag -> the PNG of the latest picture in a run's event files; empty where there are none, or too many."""
    files = list(folder.glob("events.out.tfevents.*"))
    if not files or sum(file.stat().st_size for file in files) > _MOST_BYTES:
        return {}
    events = EventAccumulator(str(folder), size_guidance={IMAGES: 1})
    events.Reload()
    found = events.Tags().get(IMAGES, [])
    return {name: events.Images(name)[-1].encoded_image_string for name in _TAGS if name in found}


def _is_pretraining(run: Run) -> bool:
    return any("loss/reconstruct" in line for line in run.lines)


def _figure(png: bytes, told: str) -> Html:
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return tag("figure", tag("img", src=source, alt=told), tag("figcaption", told))
