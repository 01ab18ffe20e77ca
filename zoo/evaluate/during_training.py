"""What the training loop calls to measure a model: metrics to return, pictures to log."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from zoo.audio.front_end import FrontEndConfig
from zoo.data.batch import BadAudio
from zoo.data.labels import LabelTable
from zoo.data.loader import Loader
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.evaluation import MakeInputs, Objective, Precision, evaluate_objective, predict_all
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.pictures import Picture, confusion_picture, pretraining_pictures

LogImage = Callable[[str, Any, int], None]
"""(tag, image (3, H, W), clips seen)"""
NoteBad = Callable[[Iterable[BadAudio]], object]


class ClassifierEvaluation:
    """Metrics of a classifier on held-out clips, and its confusion matrix."""

    def __init__(
        self,
        model: nn.Module,
        loader: Loader,
        make_inputs: MakeInputs,
        labels: LabelTable,
        device: torch.device,
        precision: Precision,
        log_image: LogImage,
        note_bad: NoteBad,
    ) -> None:
        self.model = model
        self.loader = loader
        self.make_inputs = make_inputs
        self.labels = labels
        self.device = device
        self.precision = precision
        self.log_image = log_image
        self.note_bad = note_bad
        self.results: dict[str, float] | None = None
        """Of the latest call."""
        self.chance: dict[str, float] = {}
        self.num_clips = 0

    def __call__(self, clips: int) -> dict[str, float]:
        """`eval/*` after so many training clips."""
        found = predict_all(self.model, self.loader, self.make_inputs, self.device, self.precision)
        assert found.targets is not None
        self.note_bad(found.bad)
        self.num_clips = len(found.names)
        self.chance = chance_levels(found.targets, self.labels.task)
        metrics = classification_metrics(found.scores, found.targets, self.labels.task, found.names)
        if self.labels.task == "single-label":
            picture = confusion_picture(found.scores, found.targets, self.labels.names)
            self.log_image("eval/confusion", as_image(picture), clips)
        self.results = {f"eval/{name}": float(value) for name, value in metrics.items()}
        return self.results


class PretextEvaluation:
    """The pretext loss on held-out clips with the same masks every time, and pictures of the first few."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        loader: Loader,
        make_inputs: MakeInputs,
        front_end: FrontEndConfig,
        device: torch.device,
        precision: Precision,
        log_image: LogImage,
        num_images: int,
        rescale: bool,
    ) -> None:
        self.model = model
        self.objective = objective
        self.loader = loader
        self.make_inputs = make_inputs
        self.front_end = front_end
        self.device = device
        self.precision = precision
        self.log_image = log_image
        self.num_images = num_images
        self.rescale = rescale
        self.results: dict[str, float] | None = None
        """Of the latest call."""
        self.chance: dict[str, float] = {}
        self.num_clips = 0

    def __call__(self, clips: int) -> dict[str, float]:
        """`eval/*` after so many training clips."""
        scalars = evaluate_objective(
            self.model, self.objective, self.loader, self.make_inputs, self.device, self.precision
        )
        self.num_clips = self.loader.num_clips
        self.chance = {"pretext_accuracy": scalars["pretext/chance"]}
        self._draw(clips)
        names = {"loss/total": "eval/loss"}
        self.results = {names.get(tag, "eval/" + tag.replace("/", "_")): value for tag, value in scalars.items()}
        return self.results

    def _draw(self, clips: int) -> None:
        if not self.num_images:
            return
        batch = next((batch for batch in self.loader.epoch(0) if len(batch)), None)
        if batch is None:
            return
        inputs = self.make_inputs(batch.to(self.device), 0, False)
        self.model.eval()
        pictures = pretraining_pictures(self.model, inputs, self.front_end, self.num_images, self.rescale)
        for tag, several in pictures.items():
            for i, picture in enumerate(several):
                self.log_image(tag if i == 0 else f"{tag}-{i + 1}", as_image(picture), clips)


def as_image(picture: Picture) -> Any:
    """(H, W, 3) as drawn to (3, H, W) as logged."""
    return picture.transpose(2, 0, 1)
