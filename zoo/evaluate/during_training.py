"""What the training loop calls to measure a model: metrics to return, and what else there is to see of it."""

from collections.abc import Sequence

from zoo.data.labels import LabelTable
from zoo.evaluate.beside import Beside
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.classifier_board import ClassifierBoard
from zoo.evaluate.evaluation import Objective, Scores, evaluate_objective, predict_all
from zoo.evaluate.metrics import measure
from zoo.evaluate.pictures import as_image, pretraining_pictures
from zoo.evaluate.setting import Setting


class ClassifierEvaluation:
    """Metrics of a classifier on held-out clips; what else there is to see goes to the board."""

    def __init__(self, setting: Setting, labels: LabelTable) -> None:
        self.setting = setting
        self.labels = labels
        self.board = ClassifierBoard(setting, labels)
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
        metrics, per_class = on.group.main_first(lambda: measure(scores, targets, task, found.names))
        self.board.show(found, per_class, clips)
        self.results = {f"{on.data_set}/{name}": float(value) for name, value in metrics.items()}
        return self.results

    def at_end(self, clips: int) -> None:
        """Shows what is shown once, of the latest call: that of the weights that the run is judged by."""
        if self.found is not None:
            self.board.show_last(self.found, clips)


class PretextEvaluation:
    """The pretext loss on held-out clips with the same masks every time, and pictures of the first few.

    Args: `beside` - what else is measured, after the loss.
    """

    def __init__(self, setting: Setting, objective: Objective, rescale: bool, beside: Sequence[Beside] = ()) -> None:
        self.setting = setting
        self.objective = objective
        self.rescale = rescale
        self.beside = tuple(beside)
        self.results: dict[str, float] | None = None
        """Of the latest call, without `health/*`."""
        self.health: dict[str, float] = {}
        """`health/*` of the latest call."""
        self.chance: dict[str, float] = {}
        self.num_clips = 0

    def __call__(self, clips: int) -> dict[str, float]:
        """`eval/*` (or `test/*`), and `health/*`, after so many training clips."""
        on = self.setting
        means = evaluate_objective(
            on.model, self.objective, on.loader, on.make_inputs, on.device, on.precision, on.group
        )
        self.num_clips = means.num_clips
        on.judge(means.bad, self.num_clips)
        self.chance = {"pretext_accuracy": means.scalars["pretext/chance"]}
        if on.shows:
            self._draw(clips)
        names = {"loss/total": "loss"}
        self.results = {
            f"{on.data_set}/{names.get(tag, tag.replace('/', '_'))}": value for tag, value in means.scalars.items()
        }
        self.health = {}
        for one in self.beside:
            for tag, value in one(clips).items():
                (self.health if tag.startswith("health/") else self.results)[tag] = value
            self.chance |= one.chance
        return self.results | self.health

    def at_end(self, clips: int) -> None:
        """Nothing: without labels there is no more to show than at every evaluation."""

    def _draw(self, clips: int) -> None:
        on = self.setting
        on.model.eval()
        with on.model.any_length():
            for number, batch in enumerate(on.examples):
                pictures = pretraining_pictures(on.model, on.inputs(batch), on.front_end, 1, self.rescale)
                for tag, (picture,) in pictures.items():
                    on.board.image(tag + (f"-{number + 1}" if number else ""), as_image(picture), clips)
