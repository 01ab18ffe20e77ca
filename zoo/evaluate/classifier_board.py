"""What a classifier's evaluation shows beside its numbers: pictures at every one, and more of the last."""

from jaxtyping import Float
from torch import Tensor

from zoo.audio.picture import draw_log_mels
from zoo.data.labels import LabelTable
from zoo.evaluate.answers import caption, hardest, probabilities, top_answers, true_labels
from zoo.evaluate.class_bars import class_bars, class_scores
from zoo.evaluate.class_metrics import ClassMetrics
from zoo.evaluate.embedded import embed_clips
from zoo.evaluate.evaluation import Scores
from zoo.evaluate.pictures import Picture, as_image, confusion_picture, real_part
from zoo.evaluate.pr_curves import show_pr_curves
from zoo.evaluate.setting import Setting

LONGEST_SOUND = 10.0  # seconds


class ClassifierBoard:
    """Shows what a model said of held-out clips. All of it is the main process's, which asks no other."""

    def __init__(self, on: Setting, labels: LabelTable) -> None:
        self.on = on
        self.labels = labels
        self._examples: list[tuple[int, Tensor]] = []
        """(place in the manifest, log-mel) of the fixed examples, which look the same every time."""

    def show(self, found: Scores, per_class: ClassMetrics, clips: int) -> None:
        """What every evaluation shows: confusions, bars by class, PR curves, the fixed examples, the hardest clips."""
        on, names, task = self.on, self.labels.names, self.labels.task
        if not on.shows:
            return
        scores, targets = found.scores, found.targets
        assert targets is not None
        if task == "single-label":
            on.board.image(f"{on.data_set}/confusion", as_image(confusion_picture(scores, targets, names)), clips)
        bars = class_bars(*class_scores(per_class, task), targets, names)
        on.board.image(f"{on.data_set}/classes", as_image(bars), clips)
        show_pr_curves(on.board, f"{on.data_set}/pr", targets, probabilities(scores, task), names, clips)
        self._examples = self._examples or [(one.clips[0], real_part(on.inputs(one), 0).cpu()) for one in on.examples]
        row_of = {clip: row for row, clip in enumerate(found.clips)}
        for number, (clip, log_mel) in enumerate(self._examples):
            if clip in row_of:  # else its file has gone since it was read as an example
                picture = self._draw(found, row_of[clip], log_mel)
                on.board.image("log_mel/input" + (f"-{number + 1}" if number else ""), as_image(picture), clips)
        for number, (row, loss) in enumerate(hardest(scores, targets, task, on.num_pictures), start=1):
            batch = on.read([found.clips[row]])
            if len(batch):
                picture = self._draw(found, row, real_part(on.inputs(batch), 0), loss)
                on.board.image(f"{self._hardest}/{number}", as_image(picture), clips)

    def show_last(self, found: Scores, clips: int) -> None:
        """What the weights that a run is judged by show once: the sound of the hardest clips, and the Projector."""
        on, task = self.on, self.labels.task
        if not on.shows:
            return
        assert found.targets is not None
        rate = on.front_end.sample_rate
        for number, (row, _) in enumerate(hardest(found.scores, found.targets, task, on.num_pictures), start=1):
            batch = on.read([found.clips[row]])
            if len(batch) and batch.waveform is not None:  # stored log-mels have no sound
                length = min(int(batch.num_samples[0]), round(LONGEST_SOUND * rate))
                on.board.audio(f"sound/{self._hardest}-{number}", batch.waveform[0, :length], clips, rate)
        embedded = embed_clips(on, found, self.labels.names, task)
        if embedded is not None:
            on.board.embedding(embedded.vectors, embedded.columns, embedded.pictures)

    @property
    def _hardest(self) -> str:
        return "hardest" if self.on.data_set == "eval" else f"hardest_{self.on.data_set}"

    def _draw(self, found: Scores, row: int, log_mel: Float[Tensor, "mel frame"], loss: float | None = None) -> Picture:
        """The log-mel of a clip under what it is and what the model says of the whole of it."""
        assert found.targets is not None
        names = self.labels.names
        said = top_answers(probabilities(found.scores[row : row + 1], self.labels.task)[0], names)
        title = caption(found.names[row], true_labels(found.targets[row], names), said, loss)
        return draw_log_mels({title: log_mel}, self.on.front_end)
