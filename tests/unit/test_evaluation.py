"""Whole-set evaluation: every usable clip once, in order, whatever the batches look like."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.errors import DataError
from zoo.evaluate.evaluation import evaluate_objective, extract_features, predict_all

NUM_SAMPLES = 6
NO = torch.empty(0)


class FakeLoader:
    """Ten clips in batches of given sizes; some batches are empty because their clips could not be used."""

    def __init__(self, sizes: list[int], labelled: bool = True) -> None:
        self.sizes, self.labelled = sizes, labelled

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        first = 0
        for number, size in enumerate(self.sizes):
            ids = torch.arange(first, first + size)
            waveform = (ids[:, None] + 1) * torch.linspace(-1, 1, NUM_SAMPLES)
            target = torch.eye(3)[ids % 3] if self.labelled else None
            names = tuple(f"{i}.wav" for i in ids.tolist())
            bad = () if size else (BadAudio(f"bad{number}", f"folder/bad{number}.wav", "zero bytes", False),)
            yield Batch(waveform, torch.full((size,), NUM_SAMPLES), target, ids, names, bad)
            first += size


class Recorder:
    """Makes inputs and notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bool]] = []

    def __call__(self, batch: Batch, epoch: int, training: bool) -> Inputs:
        self.calls.append((epoch, training))
        assert len(batch)
        log_mel = batch.waveform[:, None, :].expand(-1, 2, -1)
        return Inputs(log_mel, batch.num_samples, batch.target, batch.ids, batch.names)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(NUM_SAMPLES, 4)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4, 3)

    def features(self, log_mel: Tensor, num_frames: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        assert num_frames is not None
        assert keys is not None
        return self.dropout(self.embed(log_mel.mean(1)))

    def forward(self, log_mel: Tensor, num_frames: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        return self.head(self.features(log_mel, num_frames, keys))


@pytest.mark.parametrize("sizes", [[10], [4, 4, 2], [3, 0, 7, 0], [1] * 10])
@pytest.mark.parametrize("training", [False, True])
def test_every_clip_once_in_order(sizes: list[int], training: bool) -> None:
    model, recorder = Model().train(training), Recorder()
    result = predict_all(model, FakeLoader(sizes), recorder, "cpu")
    assert result.names == tuple(f"{i}.wav" for i in range(10))
    assert result.targets is not None
    assert torch.equal(result.targets, torch.eye(3)[torch.arange(10) % 3])
    expected = predict_all(model, FakeLoader([10]), recorder, "cpu").scores
    torch.testing.assert_close(result.scores, expected)
    assert result.scores.dtype == torch.float32
    assert not result.scores.requires_grad
    assert [bad.reason for bad in result.bad] == ["zero bytes"] * sizes.count(0)
    assert set(recorder.calls) == {(0, False)}
    assert model.training is training


class WindowLoader:
    """Three clips in windows, the longest first and mixed; clip 1 has lost a window, clip 3 all."""

    CLIPS = ((2, 0, 2), (0, 2, 1))

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        for number, clips in enumerate(self.CLIPS):
            ids = torch.tensor(clips) * 10 + number
            waveform = (ids[:, None] + 1.0) * torch.linspace(-1, 1, NUM_SAMPLES)
            names = tuple(f"{clip}.wav" for clip in clips)
            lost = BadAudio(f"{3 - 2 * number}.wav", "path", "NaN", False)
            target = torch.eye(3)[list(clips)]
            yield Batch(waveform, torch.full((3,), NUM_SAMPLES), target, ids, names, (lost,), clips=clips)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_a_clip_of_several_windows_counts_once(task: Any) -> None:
    model = Model().eval()
    found = predict_all(model, WindowLoader(), Recorder(), "cpu", task=task)
    features = extract_features(model, WindowLoader(), Recorder(), "cpu")
    assert found.names == features.names == ("0.wav", "1.wav", "2.wav")
    assert found.targets is not None
    assert torch.equal(found.targets, torch.eye(3))

    def of(number: int) -> Tensor:
        return model.features((number + 1.0) * torch.linspace(-1, 1, NUM_SAMPLES).expand(1, 2, -1), NO, NO)[0].detach()

    windows = [[of(0), of(1)], [of(11)], [of(20), of(20), of(21)]]
    probability = torch.nn.Softmax(dim=0) if task == "single-label" else torch.nn.Sigmoid()
    for clip, own in enumerate(windows):
        torch.testing.assert_close(features.features[clip], torch.stack(own).mean(0))
        expected = torch.stack([probability(model.head(one)) for one in own]).mean(0)
        torch.testing.assert_close(probability(found.scores[clip]), expected)
    assert found.bad == features.bad
    assert found.bad == (
        BadAudio("3.wav", "path", "NaN", False),
        BadAudio("1.wav", "path", "in part unusable: NaN", True),
    )


def test_an_objective_counts_windows_and_tells_clips() -> None:
    def objective(model: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        return inputs.keys.float().mean(), torch.tensor(float(len(inputs.keys))), {}

    got = evaluate_objective(Model(), objective, WindowLoader(), Recorder(), "cpu")
    assert got.scalars["loss/total"] == pytest.approx((20 + 0 + 20 + 1 + 21 + 11) / 6)
    assert got.num_clips == 3
    assert [(one.name, one.used) for one in got.bad] == [("3.wav", False), ("1.wav", True)]


def test_features_come_from_the_features_method() -> None:
    model = Model()
    result = extract_features(model, FakeLoader([4, 6]), Recorder(), "cpu")
    assert result.features.shape == (10, 4)
    scores = predict_all(model, FakeLoader([4, 6]), Recorder(), "cpu").scores
    torch.testing.assert_close(model.head(result.features).detach(), scores)


def test_unlabelled_clips_have_no_targets() -> None:
    assert predict_all(Model(), FakeLoader([10], labelled=False), Recorder(), "cpu").targets is None


def test_bf16_is_close_and_comes_back_as_float32() -> None:
    model = Model()
    exact = predict_all(model, FakeLoader([10]), Recorder(), "cpu").scores
    half = predict_all(model, FakeLoader([10]), Recorder(), "cpu", precision="bf16").scores
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, rtol=0.05, atol=0.1)


def test_a_compiled_model_runs_as_it_is_written() -> None:
    """Its batches are of many widths, each of which might be compiled anew."""
    torch.compiler.reset()  # other tests may have compiled up to dynamo's limits
    model, compiled = Model(), []

    def backend(graph: Any, _: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    expected = predict_all(model, FakeLoader([4, 6]), Recorder(), "cpu").scores
    model.compile(backend=backend)
    assert torch.equal(predict_all(model, FakeLoader([4, 6]), Recorder(), "cpu").scores, expected)
    assert not compiled
    log_mel = torch.randn(2, 2, NUM_SAMPLES)
    model(log_mel, torch.full((2,), NUM_SAMPLES), torch.arange(2))
    assert compiled  # elsewhere it is compiled


def test_an_objective_is_averaged_over_clips() -> None:
    def objective(model: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        assert not torch.is_grad_enabled()
        assert not model.training
        return (
            inputs.log_mel[:, 0, -1].mean(),
            torch.tensor(float(len(inputs.keys))),
            {"loss/part": inputs.log_mel[:, 0, 0].mean()},
        )

    got = evaluate_objective(Model(), objective, FakeLoader([3, 0, 6, 1]), Recorder(), "cpu")
    assert got.scalars == pytest.approx({"loss/total": 5.5, "loss/part": -5.5})
    assert got.num_clips == 10


def test_no_usable_clip_names_one_that_is_not() -> None:
    expected = r"found no usable clip \(2 unusable, such as folder/bad0\.wav: zero bytes\) - expected at least one"
    with pytest.raises(DataError, match=expected):
        predict_all(Model(), FakeLoader([0, 0]), Recorder(), "cpu")
    with pytest.raises(DataError, match=r"found no usable clip \(0 unusable\)"):
        predict_all(Model(), FakeLoader([]), Recorder(), "cpu")
    with pytest.raises(DataError, match="found no usable clip"):
        evaluate_objective(
            Model(), lambda *_: (torch.tensor(math.nan), torch.tensor(1.0), {}), FakeLoader([0]), Recorder(), "cpu"
        )


def test_the_mode_comes_back_after_an_error() -> None:
    def broken(batch: Batch, epoch: int, training: bool) -> Inputs:
        raise RuntimeError("broken")

    model = Model()
    with pytest.raises(RuntimeError, match="broken"):
        predict_all(model, FakeLoader([10]), broken, "cpu")
    assert model.training
    assert torch.is_grad_enabled()
