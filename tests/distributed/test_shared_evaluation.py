"""Several processes evaluate as one does, bit for bit: played by threads, which makes every odd case cheap."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.distributed.threads import together
from zoo.data.bad_audio import BadAudioLog
from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.deal import deal
from zoo.errors import DataError
from zoo.evaluate.evaluation import evaluate_objective, extract_features, predict_all
from zoo.evaluate.online_probe import OnlineProbe, ProbeClips
from zoo.group import ALONE, Group

NUM_SAMPLES = 6
LOST = "lost"

# Batches of windows, each by the number of its clip; a lost one could not be used. Clip 2 has windows in three batches.
CASES = {
    "many batches": [[4, 2], [2, 0], [3, 5], [1, 2], [6], [7, 8, 9]],
    "fewer than processes": [[1, 0, 1]],
    "a process without a usable clip": [[0, 1, 2], [LOST, LOST], [LOST, 4]],
    "a clip lost in part": [[0, 1], [LOST, 0], [2]],
    "no batch with all": [[LOST], [3, 1], [LOST], [2, 2]],
}


@dataclass
class Windows:
    """A loader of made-up windows; the row number makes each another sound."""

    batches: list[list[Any]]
    labelled: bool = True
    numbered: bool = True

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        return (self.make(number) for number in range(start_batch, len(self.batches)))

    def dealt(self, group: Group) -> Iterator[tuple[int, Batch]]:
        mine = deal([len(batch) for batch in self.batches], group.world)[group.rank]
        return ((number, self.make(number)) for number in mine)

    def make(self, number: int) -> Batch:
        used = [clip for clip in self.batches[number] if clip != LOST]
        lost = len(self.batches[number]) - len(used)
        ids = torch.tensor([10 * number + row for row in range(len(used))], dtype=torch.int64)
        generator = torch.Generator().manual_seed(number)
        target = torch.eye(3)[torch.tensor(used, dtype=torch.int64) % 3] if self.labelled else None
        bad = tuple(BadAudio("0.wav", "path", f"NaN {number}", False) for _ in range(lost))
        return Batch(
            waveform=torch.randn(len(used), NUM_SAMPLES, generator=generator),
            num_samples=torch.full((len(used),), NUM_SAMPLES),
            target=target,
            ids=ids,
            names=tuple(f"{clip}.wav" for clip in used) if self.numbered else tuple(f"{i}.wav" for i in ids.tolist()),
            bad=bad,
            clips=tuple(used) if self.numbered else (),
        )


def make_inputs(batch: Batch, epoch: int, training: bool) -> Inputs:
    assert batch.waveform is not None
    return Inputs(batch.waveform[:, None, :].expand(-1, 2, -1), batch.num_samples, batch.target, batch.ids, batch.names)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(NUM_SAMPLES, 4)
        self.head = nn.Linear(4, 3)

    def features(self, log_mel: Tensor, num_frames: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        return self.embed(log_mel.mean(1))

    def forward(self, log_mel: Tensor, num_frames: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        return self.head(self.features(log_mel))


MODEL = Model()


def model() -> Model:
    """Each thread's own: an evaluation switches its mode."""
    return copy.deepcopy(MODEL)


def objective(model: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Counted by numbers of its own, as masked patches are."""
    answers = model(inputs.log_mel)
    return answers.square().mean(), (inputs.keys % 3 + 1).sum().float(), {"loss/part": answers.mean()}


def same(one: Any, other: Any) -> bool:
    """Bit for bit."""
    pairs = zip(astuple(one), astuple(other), strict=True)
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


WAYS: dict[str, Callable[[Any, Group], Any]] = {
    "scores": lambda loader, group: predict_all(model(), loader, make_inputs, "cpu", task="multi-label", group=group),
    "features": lambda loader, group: extract_features(model(), loader, make_inputs, "cpu", group=group),
    "objective": lambda loader, group: evaluate_objective(model(), objective, loader, make_inputs, "cpu", group=group),
}


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_every_process_gets_what_one_gets(world: int, way: str, case: str) -> None:
    for loader in (Windows(CASES[case]), Windows(CASES[case], labelled=False), Windows(CASES[case], numbered=False)):
        alone = WAYS[way](loader, ALONE)
        for found in together(world, lambda group, loader=loader: WAYS[way](loader, group)):
            assert same(found, alone), found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batches", [[], [[LOST, LOST], [LOST]]])
def test_no_usable_clip_is_an_error_everywhere(way: str, batches: list[list[Any]]) -> None:
    for error in together(3, lambda group: WAYS[way](Windows(batches), group)):
        assert isinstance(error, DataError)
        assert f"found no usable clip ({sum(map(len, batches))} unusable" in str(error)


@dataclass
class LabelledWindows(Windows):
    def close(self) -> None:
        """No process to end."""


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("case", ["many batches", "a clip lost in part"])
def test_a_probe_during_pretraining_says_the_same_everywhere(world: int, case: str) -> None:
    def probe(group: Group) -> tuple[dict[str, float], Any, Any, dict[str, Any]]:
        own = model()
        clips = ProbeClips(LabelledWindows(CASES[case]), torch.arange(10) % 3 == 2, "multi-label", {})
        record = BadAudioLog(None, 1.0, 10, "probe")
        online = OnlineProbe(own, clips, own.features, make_inputs, torch.device("cpu"), "fp32", record, bool, group)
        assert online(0) == {}  # not due
        return online(1), online.report, online.chance, record.report()

    alone = probe(ALONE)
    assert set(alone[0]) == {"eval/probe_knn", "eval/probe_linear", "eval/probe_chance"}
    lost = sum(alone[3]["unusable"].values())
    for found in together(world, probe):
        assert not isinstance(found, Exception), found
        assert found[:3] == alone[:3]
        assert sum(found[3]["unusable"].values()) in (0, lost)  # the record is the main process's


def test_batches_that_are_not_dealt_are_refused() -> None:
    """Counted by every process, they would count several times."""

    class Whole(Windows):
        def dealt(self, group: Group) -> Iterator[tuple[int, Batch]]:
            return enumerate(self.epoch(0))

    for error in together(2, lambda group: WAYS["scores"](Whole([[1, 2]]), group)):
        assert isinstance(error, AssertionError)


def test_an_error_of_the_first_process_reaches_all() -> None:
    asked = []

    def work(group: Group) -> str:
        def only_once() -> str:
            asked.append(group.rank)
            raise DataError("the folder is in use")

        return group.main_first(only_once)

    errors = together(3, work)
    assert [str(error) for error in errors] == ["the folder is in use"] * 3
    assert all(isinstance(error, DataError) for error in errors)
    assert together(3, lambda group: group.main_first(lambda: group.rank)) == [0, 0, 0]
    assert asked == [0]


def test_other_data_in_another_process_is_an_error_everywhere() -> None:
    errors = together(3, lambda group: group.check_same("data.train", "b" if group.rank == 1 else "a"))
    assert {str(error).split(" - ")[0] for error in errors} == {"data.train: found b in process 1 and a in process 0"}
    assert together(2, lambda group: group.check_same("data.train", "a")) == [None, None]
