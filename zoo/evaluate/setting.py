"""What every evaluation of a run works with."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from zoo.audio.front_end import MelConfig
from zoo.data.bad_audio import BadAudioLog
from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.item import Collate
from zoo.data.loader import Loader
from zoo.evaluate.board import Board
from zoo.evaluate.evaluation import MakeInputs
from zoo.group import ALONE, Group
from zoo.precision import Precision


@dataclass(frozen=True)
class Setting:
    """The model, the clips, and where it is shown what comes of them."""

    model: Any
    loader: Loader
    make_inputs: MakeInputs
    front_end: MelConfig
    device: torch.device
    precision: Precision
    board: Board
    bad_audio: BadAudioLog
    examples: tuple[Batch, ...]
    """What is drawn at every evaluation, a clip each; its first window where it is longer than the model."""
    num_pictures: int = 0
    """Clips of a kind that are drawn, such as the hardest; 0 shows nothing at all. Only the main process shows."""
    batch_size: int = 32
    data_set: Literal["eval", "test"] = "eval"
    """Whose clips these are: what the tags of its numbers begin with."""
    group: Group = ALONE
    """The processes that evaluate together. Record and pictures are the first one's, and need not be there on others.
    """

    @property
    def shows(self) -> bool:
        """Whether this process shows anything."""
        return self.group.is_main and self.num_pictures > 0

    def inputs(self, batch: Batch) -> Inputs:
        """What the model sees of some clips."""
        return self.make_inputs(batch.to(self.device), 0, False)

    def read(self, places: Iterable[int]) -> Batch:
        """The first windows of the clips at these places of the manifest; those that cannot be read any more are left
        out."""
        clips = self.loader.dataset
        assert isinstance(clips, EvaluationSet), type(clips)
        return Collate(None)([clips.first_window(place) for place in places])

    def judge(self, bad: Iterable[BadAudio], num_clips: int) -> None:
        """Puts bad audio on record. Raises DataError, in all processes, when too many clips are unusable."""

        def judged() -> None:
            self.bad_audio.add(bad)
            self.bad_audio.check(num_clips)

        self.group.main_first(judged)
