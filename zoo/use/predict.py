"""What a trained classifier says of audio: one answer a clip, or one every so many seconds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

import torch
from jaxtyping import Float
from torch import Tensor

from zoo import provenance
from zoo.data.batch import BadAudio
from zoo.data.found_audio import FoundAudio, find_audio
from zoo.data.labels import Task
from zoo.data.open_reader import Measure, open_reader
from zoo.data.windows import read_lengths
from zoo.errors import RecipeError, ZooError
from zoo.evaluate.averaging import Average, mean_probability
from zoo.use.evaluate import Counting, uncounted
from zoo.use.passes import Pass, check_some_usable, timed_windows
from zoo.use.ready import ReadyModel, Source, class_names, ready_model

_TOP_K = 5
_UNDECODED = (".m4a", ".aac", ".mp4", ".wma", ".webm")


@dataclass(frozen=True)
class Prediction:
    """One answer."""

    path: str
    start: float | None
    """Seconds into the file; None: the answer is for the whole file."""
    stop: float | None
    """None: to its end."""
    labels: tuple[tuple[str, float], ...]
    """(class name, probability), the most probable first."""


@dataclass(frozen=True)
class PredictionList(Sequence[Prediction]):
    """All answers, clip after clip in the order of the audio."""

    predictions: tuple[Prediction, ...]
    bad: tuple[BadAudio, ...]
    """Clips without an answer, and odd ones (`used`), which have one."""
    task: Task
    evaluation: str
    """What an answer is for, in words."""
    about: dict[str, Any]
    """Checkpoint, device and versions."""

    def __len__(self) -> int:
        return len(self.predictions)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Prediction]: ...
    def __getitem__(self, index: int | slice) -> Prediction | Sequence[Prediction]:
        return self.predictions[index]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.about,
            "task": self.task,
            "evaluation": self.evaluation,
            "predictions": [as_record(one) for one in self.predictions],
            "bad_audio": [asdict(one) for one in self.bad if not one.used],
            "odd_audio": [asdict(one) for one in self.bad if one.used],
        }


def as_record(prediction: Prediction) -> dict[str, Any]:
    """Plain values; without times for a whole file."""
    times = {} if prediction.start is None else {"start": prediction.start, "stop": prediction.stop}
    labels = [{"label": name, "probability": probability} for name, probability in prediction.labels]
    return {"path": prediction.path, **times, "labels": labels}


def predict(
    checkpoint: Source,
    audio: str | Path | Sequence[str | Path],
    *,
    top_k: int | None = None,
    threshold: float | int | None = None,
    windows: float | int | None = None,
    hop: float | int | None = None,
    labels: str | None = None,
    task: Task | None = None,
    device: str = "auto",
    batch_size: int = 32,
    workers: int | None = None,
    counting: Counting = uncounted,
) -> PredictionList:
    """Class probabilities for audio of any length, rate and format.

        for clip in zoo.predict("runs/ast", ["a.wav", "folder"]):
            print(clip.path, clip.labels[0])

    Args:
        checkpoint: all that `zoo.load` takes, or a model that it gave.
        audio: files, folders (searched through), or manifests (their labels are not read).
        top_k: so many classes an answer; None: 5, or with a threshold as many as reach it.
        threshold: only classes of at least this probability.
        windows: seconds; None gives one answer a clip, in which the windows of a long one are averaged as in
            `zoo evaluate`. Else one for every stretch of so many seconds; the last one of a clip ends with the clip.
        hop: seconds from one stretch to the next; None: `windows`.
        labels: a label table, for a checkpoint without class names; without both, classes are called by their number.
        task: for a checkpoint that does not say it. Probabilities of single-label add up to 1.
        batch_size: clips of the model's length that go through it together.
        workers: processes that decode; None: none on a CPU, else one a core and at most 8.

    Raises:
        CheckpointError: no classifier. DataError: no clip can be used. RecipeError: windows that are none.
    """
    ready = ready_model(checkpoint, device)
    names, stated = class_names(ready, labels, task)
    found = find_audio([audio] if isinstance(audio, str | Path) else list(audio))
    bad: list[BadAudio] = list(found.bad)
    answers: list[Prediction] = []
    config = ready.windows()
    words = config.in_words
    if len(found.clips):
        reader, measure = open_reader(found.clips, None, ready.front_end, ready.model.min_frames)
        # Before any file is opened: what is wrong with the windows is told at once.
        stretch = None if windows is None and hop is None else window_samples(ready, measure, windows, hop)
        with counting("lengths", "files") as tell:
            lengths = read_lengths(reader, tell)
        if stretch is None:
            a_pass = Pass.averaged(ready, reader, lengths, measure, config, batch_size, workers)
        else:
            rows = timed_windows(lengths, *stretch)
            a_pass = Pass.apart(ready, reader, rows, measure, batch_size, workers)
            words = f"windows of {stretch[0] / measure.sample_rate:g} s, {stretch[1] / measure.sample_rate:g} s apart"
        chosen = _Choice(names, stated, top_k, threshold)
        with counting("predicting", "windows") as tell:
            results = a_pass.results(lambda inputs, batch: _answers(ready, inputs, batch), tell)
            if stretch is None:
                answers = list(_of_clips(results, found, chosen))
            else:
                answers = list(_of_windows(results, found, a_pass, measure, chosen))
        bad += a_pass.judged()
    bad = [_with_advice(one) for one in bad]
    check_some_usable(len(answers), bad)
    about = {"checkpoint": ready.name, "device": provenance.device_name(ready.device)}
    return PredictionList(tuple(answers), tuple(bad), stated, words, about | {"versions": provenance.versions()})


def window_samples(
    ready: ReadyModel, measure: Measure, windows: float | int | None, hop: float | int | None
) -> tuple[int, int]:
    """Length and distance of timed windows in samples (or stored frames).

    Raises: RecipeError - shorter than a patch, longer than the model's input, or with gaps between them.
    """
    if windows is None:
        raise RecipeError(f"hop: found {hop:g} s without windows - expected both - give the length of a window too")
    for name, seconds in (("windows", windows), ("hop", hop)):
        if seconds is not None and not math.isfinite(seconds):
            raise RecipeError(f"{name}: found {seconds} - expected a number of seconds - choose one")
    rate = measure.sample_rate
    n_frames = ready.model.config.n_frames
    longest = n_frames if ready.padding == "as_source" else getattr(ready.model, "max_frames", None)
    least = measure.num_samples(ready.model.min_frames)
    most = None if longest is None else max(least, measure.num_samples(longest))
    length = round(windows * rate)
    if length < least or (most is not None and length > most):
        upper = "" if most is None else f" and at most {most / rate:g} s, the model's input"
        raise RecipeError(
            f"windows: found {windows:g} s - expected at least {least / rate:g} s, one patch{upper} - "
            "choose another length, or leave it out for one answer a clip"
        )
    step = length if hop is None else round(hop * rate)
    if not 1 <= step <= length:
        raise RecipeError(
            f"hop: found {hop:g} s with windows of {windows:g} s - expected more than 0 and no more than a window - "
            "choose another hop"
        )
    return length, step


class _Choice:
    """Which classes of an answer are told."""

    def __init__(self, names: tuple[str, ...], task: Task, top_k: int | None, threshold: float | int | None) -> None:
        if top_k is not None and top_k < 1:
            raise RecipeError(f"top_k: found {top_k} - expected 1 or more - raise it")
        if threshold is not None and not 0 <= threshold <= 1:
            raise RecipeError(f"threshold: found {threshold:g} - expected a probability, 0 to 1 - change it")
        self.task: Task = task
        self.average: Average = mean_probability(task)
        self._names = names
        self._threshold = threshold
        most = len(names) if top_k is None and threshold is not None else top_k or _TOP_K
        self._count = min(most, len(names))

    def of(self, path: str, logits: Float[Tensor, "cls"]) -> tuple[tuple[str, float], ...]:
        """The classes told of these logits, the most probable first; of equal ones the first in the table."""
        wide = logits.double()
        if not bool(wide.isfinite().all()):
            raise ZooError(f"{path}: scores that are not finite - expected finite numbers - did training diverge?")
        probabilities = wide.softmax(0) if self.task == "single-label" else wide.sigmoid()
        order = probabilities.argsort(descending=True, stable=True)[: self._count].tolist()
        kept = [(self._names[place], float(probabilities[place])) for place in order]
        return tuple(pair for pair in kept if self._threshold is None or pair[1] >= self._threshold)


def _answers(ready: ReadyModel, inputs: Any, batch: Any) -> list[Tensor]:
    logits = ready.model(inputs.log_mel, inputs.num_frames, inputs.keys)
    return list(logits.float().cpu())


def _of_clips(results: Iterator[tuple[int, list[Tensor]]], found: FoundAudio, chosen: _Choice) -> Iterator[Prediction]:
    for number, outputs in results:
        clip = found.clips.clips[number]
        logits = outputs[0] if len(outputs) == 1 else chosen.average(torch.stack(outputs).double())
        is_cut = clip.start is not None or clip.stop is not None
        start = (clip.start or 0.0) if is_cut else None
        yield Prediction(str(clip.path), start, clip.stop, chosen.of(str(clip.path), logits))


def _of_windows(
    results: Iterator[tuple[int, list[Tensor]]], found: FoundAudio, a_pass: Pass, measure: Measure, chosen: _Choice
) -> Iterator[Prediction]:
    for row, (logits,) in results:
        window = a_pass.rows[row]
        clip = found.clips.clips[window.clip]
        start = (clip.start or 0.0) + window.first / measure.sample_rate
        stop = start + window.length / measure.sample_rate
        yield Prediction(str(clip.path), round(start, 6), round(stop, 6), chosen.of(str(clip.path), logits))


def _with_advice(bad: BadAudio) -> BadAudio:
    """What cannot be decoded for a known reason says what to do."""
    if bad.used or not bad.path.lower().endswith(_UNDECODED) or not bad.reason.startswith("not audio"):
        return bad
    reason = f"{bad.reason}; libsndfile does not decode this format: convert it, as with ffmpeg -i IN OUT.flac"
    return BadAudio(bad.name, bad.path, reason, bad.used)
