"""What the training loop calls to measure a model: metrics to return, pictures to log."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch

from zoo.audio.front_end import MelConfig
from zoo.audio.picture import draw_log_mels
from zoo.data.bad_audio import BadAudioLog
from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.labels import LabelTable
from zoo.data.loader import Loader
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.evaluation import MakeInputs, Objective, Scores, evaluate_objective, predict_all
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.pictures import Picture, confusion_picture, pretraining_pictures, real_part
from zoo.group import ALONE, Group
from zoo.precision import Precision

LogImage = Callable[[str, Any, int], None]
"""(tag, image (3, H, W), clips seen)"""


@dataclass(frozen=True)
class Setting:
    """What every evaluation during training works with."""

    model: Any
    loader: Loader
    make_inputs: MakeInputs
    front_end: MelConfig
    device: torch.device
    precision: Precision
    log_image: LogImage
    bad_audio: BadAudioLog
    examples: tuple[Batch, ...]
    """What is drawn at every evaluation, a clip each; its first window where it is longer than the model."""
    data_set: Literal["eval", "test"] = "eval"
    """Whose clips these are: what the tags of its numbers begin with."""
    group: Group = ALONE
    """The processes that evaluate together. Record and pictures are the first one's, and need not be there on others.
    """

    def example_inputs(self) -> Iterator[Inputs]:
        """What the model sees of the examples."""
        for batch in self.examples:
            yield self.make_inputs(batch.to(self.device), 0, False)

    def judge(self, bad: Iterable[BadAudio], num_clips: int) -> None:
        """Puts bad audio on record. Raises DataError, in all processes, when too many clips are unusable."""

        def judged() -> None:
            self.bad_audio.add(bad)
            self.bad_audio.check(num_clips)

        self.group.main_first(judged)


class ClassifierEvaluation:
    """Metrics of a classifier on held-out clips, its confusion matrix, and the first few clips with its answers."""

    def __init__(self, setting: Setting, labels: LabelTable) -> None:
        self.setting = setting
        self.labels = labels
        self.results: dict[str, float] | None = None
        """Of the latest call."""
        self.found: Scores | None = None
        """What the model said of every clip in the latest call."""
        self.chance: dict[str, float] = {}
        self.num_clips = 0

    def __call__(self, clips: int) -> dict[str, float]:
        """`eval/*` (or `test/*`) after so many training clips."""
        on = self.setting
        task = self.labels.task
        found = predict_all(on.model, on.loader, on.make_inputs, on.device, on.precision, task, on.group)
        self.found = found
        scores, targets = found.scores, found.targets
        assert targets is not None
        self.num_clips = len(found.names)
        on.judge(found.bad, self.num_clips)
        self.chance = chance_levels(targets, task)
        # By one process for all: in the last bit they could differ between machines, and with them what is best.
        metrics = on.group.main_first(lambda: classification_metrics(scores, targets, task, found.names))
        if on.group.is_main:
            if task == "single-label":
                picture = confusion_picture(scores, targets, self.labels.names)
                on.log_image(f"{on.data_set}/confusion", as_image(picture), clips)
            self._draw(found, clips)
        self.results = {f"{on.data_set}/{name}": float(value) for name, value in metrics.items()}
        return self.results

    def _draw(self, found: Scores, clips: int) -> None:
        """The log-mels of the first clips, titled with what they are and what the model says of the whole clip."""
        on = self.setting
        assert found.targets is not None
        pictures = []
        for inputs in on.example_inputs():
            (name,) = inputs.names
            if name not in found.names:  # its file has gone since it was read as an example
                continue
            place = found.names.index(name)
            true = [self.labels.names[c] for c in found.targets[place].nonzero().flatten().tolist()]
            said = self.labels.names[int(found.scores[place].argmax())]
            log_mel = real_part(inputs, 0)
            pictures.append(draw_log_mels({f"{name}: {', '.join(true)}, model: {said}": log_mel}, on.front_end))
        _log_all(on.log_image, {"log_mel/input": pictures}, clips)


class PretextEvaluation:
    """The pretext loss on held-out clips with the same masks every time, and pictures of the first few."""

    def __init__(self, setting: Setting, objective: Objective, rescale: bool) -> None:
        self.setting = setting
        self.objective = objective
        self.rescale = rescale
        self.results: dict[str, float] | None = None
        """Of the latest call."""
        self.chance: dict[str, float] = {}
        self.num_clips = 0

    def __call__(self, clips: int) -> dict[str, float]:
        """`eval/*` (or `test/*`) after so many training clips."""
        on = self.setting
        means = evaluate_objective(
            on.model, self.objective, on.loader, on.make_inputs, on.device, on.precision, on.group
        )
        self.num_clips = means.num_clips
        on.judge(means.bad, self.num_clips)
        self.chance = {"pretext_accuracy": means.scalars["pretext/chance"]}
        if on.group.is_main:
            self._draw(clips)
        names = {"loss/total": "loss"}
        self.results = {
            f"{on.data_set}/{names.get(tag, tag.replace('/', '_'))}": value for tag, value in means.scalars.items()
        }
        return self.results

    def _draw(self, clips: int) -> None:
        on = self.setting
        on.model.eval()
        pictures: dict[str, list[Picture]] = {}
        with on.model.any_length():
            for inputs in on.example_inputs():
                for tag, several in pretraining_pictures(on.model, inputs, on.front_end, 1, self.rescale).items():
                    pictures.setdefault(tag, []).extend(several)
        _log_all(on.log_image, pictures, clips)


def _log_all(log_image: LogImage, pictures: dict[str, list[Picture]], clips: int) -> None:
    """Under `tag`, `tag-2`, `tag-3`, …"""
    for tag, several in pictures.items():
        for i, picture in enumerate(several):
            log_image(tag if i == 0 else f"{tag}-{i + 1}", as_image(picture), clips)


def as_image(picture: Picture) -> Any:
    """(H, W, 3) as drawn to (3, H, W) as logged."""
    return picture.transpose(2, 0, 1)
