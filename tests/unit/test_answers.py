"""What a model says of clips: words, losses, the order of the hardest; bars, curves and vectors made of them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.picture import draw_log_mels
from zoo.evaluate.answers import caption, clip_losses, hardest, probabilities, top_answers, true_labels
from zoo.evaluate.class_bars import class_bars, class_scores, shown_classes
from zoo.evaluate.class_metrics import class_metrics
from zoo.evaluate.embedded import spread_over_classes, thumbnail
from zoo.evaluate.pictures import confusion_picture
from zoo.evaluate.pr_curves import common_classes, show_pr_curves

LABELS = ("dog", "cat", "cow")
SCORES = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0], [-3.0, 1.0, 4.0], [2.0, 0.0, -1.0]])
TARGETS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])


def slow_loss(scores: list[float], target: list[float], task: str) -> float:
    if task == "single-label":
        total = sum(math.exp(score) for score in scores)
        return -sum(want * math.log(math.exp(score) / total) for score, want in zip(scores, target, strict=True))
    shares = [1 / (1 + math.exp(-score)) for score in scores]
    pairs = zip(shares, target, strict=True)
    return -sum(math.log(share if want else 1 - share) for share, want in pairs) / len(scores)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_losses_equal_the_slow_formula_and_the_hardest_come_first(task: Any) -> None:
    expected = [slow_loss(*pair, task) for pair in zip(SCORES.tolist(), TARGETS.tolist(), strict=True)]
    assert clip_losses(SCORES, TARGETS, task).tolist() == pytest.approx(expected, rel=1e-9)
    found = hardest(SCORES, TARGETS, task, 3)
    assert [row for row, _ in found] == sorted(range(4), key=lambda row: -expected[row])[:3]
    assert [loss for _, loss in found] == pytest.approx(sorted(expected, reverse=True)[:3])
    assert hardest(SCORES, TARGETS, task, 99)[-2:] == [(0, found[2][1]), (3, found[2][1])]  # a tie: the earlier row


def test_words() -> None:
    said = probabilities(SCORES, "single-label")
    assert top_answers(said[2], LABELS, 2) == "cow 95.2 %, cat 4.74 %"
    assert top_answers(said[1], LABELS, 5) == "dog 33.3 %, cat 33.3 %, cow 33.3 %"
    assert top_answers(probabilities(SCORES, "multi-label")[0], LABELS, 1) == "dog 88.1 %"
    assert true_labels(torch.tensor([1.0, 0.0, 1.0]), LABELS) == "dog, cow"
    assert true_labels(torch.zeros(3), LABELS) == "none"
    assert caption("a/b.wav", "dog", "cat 3 %", 1.23456) == "a/b.wav: dog\nsaid: cat 3 %; loss 1.23"
    first, second = caption("x" * 500 + "END", "y" * 500, "z").split("\n")
    assert "END" in first
    assert len(first) < 130
    assert second == "said: z"


def test_class_scores_equal_those_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(60, 4, generator=generator)
    truth = torch.randint(3, (60,), generator=generator)  # the last class has no clip
    single = torch.nn.functional.one_hot(truth, 4).float()
    what, values = class_scores(class_metrics(scores, single, "single-label"), "single-label")
    expected = f1_score(truth.numpy(), scores.argmax(1).numpy(), average=None, labels=[0, 1, 2], zero_division=0.0)
    assert what == "F1"
    np.testing.assert_allclose(values[:3], expected)
    assert math.isnan(values[3])
    several = (torch.rand(60, 4, generator=generator) > 0.7).float()
    several[:, 1] = 0
    what, values = class_scores(class_metrics(scores, several, "multi-label"), "multi-label")
    assert what == "average precision"
    assert math.isnan(values[1])
    for place in (0, 2, 3):
        assert values[place] == pytest.approx(average_precision_score(several[:, place], scores[:, place]))


def test_bars_are_the_worst_and_the_best() -> None:
    values = np.linspace(1, 0, 100)
    values[[3, 50]] = np.nan
    shown = shown_classes(values)
    assert shown[:20] == list(range(99, 79, -1))
    assert shown[20:] == [20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 2, 1, 0]
    assert shown_classes(np.array([0.5, np.nan, 0.1])) == [2, 0]
    names = tuple(f"class {i}" for i in range(100))
    many = class_bars("F1", values, torch.ones(2, 100), names)
    few = class_bars("F1", values[:2], torch.ones(2, 2), names[:2])
    assert many.shape[0] > 3 * few.shape[0]
    none = class_bars("F1", np.full(2, np.nan), torch.zeros(2, 2), names[:2])
    assert none.dtype == np.uint8
    blue = (few == (0x3B, 0x6E, 0xA8)).all(axis=2)
    shorter = (class_bars("F1", values[:2] / 2, torch.ones(2, 2), names[:2]) == (0x3B, 0x6E, 0xA8)).all(axis=2)
    assert blue.sum() == pytest.approx(2 * shorter.sum(), rel=0.05)


def test_pr_curves_are_of_the_most_common_classes() -> None:
    counts = np.array([0, 5, 7, 5, 0])
    assert common_classes(counts) == [2, 1, 3]
    assert len(common_classes(np.arange(1, 30))) == 10

    class Board:
        def __init__(self) -> None:
            self.seen: dict[str, tuple[np.ndarray, np.ndarray]] = {}

        def pr_curve(self, tag: str, is_positive: np.ndarray, probability: np.ndarray, clips: int) -> None:
            assert clips == 8
            self.seen[tag] = (is_positive, probability)

        def image(self, *_: Any) -> None: ...

        def audio(self, *_: Any) -> None: ...

        def embedding(self, *_: Any) -> None: ...

    board = Board()
    probability = probabilities(SCORES, "single-label")
    show_pr_curves(board, "eval/pr", TARGETS, probability, LABELS, 8)
    assert list(board.seen) == ["eval/pr/all classes", "eval/pr/dog", "eval/pr/cat"]  # no clip is a cow
    assert board.seen["eval/pr/dog"][0].tolist() == [True, False, True, True]
    assert board.seen["eval/pr/cat"][1].tolist() == probability[:, 1].tolist()
    assert board.seen["eval/pr/all classes"][0].sum() == 4


def test_embedded_clips_are_spread_over_the_classes() -> None:
    targets = torch.zeros(12, 3)
    targets[:8, 0] = 1
    targets[8:11, 1] = 1  # and the last has no class
    assert spread_over_classes(targets, 5) == [0, 1, 8, 9, 11]
    assert spread_over_classes(targets, 8) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert spread_over_classes(targets, 99) == list(range(12))


def test_thumbnails_have_low_frequencies_at_the_bottom() -> None:
    log_mel = torch.zeros(128, 300)
    log_mel[:20] = 5.0
    picture = thumbnail(log_mel).astype(int).sum(axis=2)
    assert picture.shape == (48, 48)
    assert picture[-3].min() > picture[3].max() + 300
    assert thumbnail(torch.zeros(128, 3)).shape == (48, 48, 3)  # silence, shorter than the picture is wide
    assert thumbnail(torch.full((16, 60), float("nan"))).shape == (48, 48, 3)


def test_names_are_drawn_as_they_are() -> None:
    """No formula in a file's name ends a run, and no script that the font lacks warns at every evaluation."""
    names = ("$\\frac{$", "犬", "a_{b$c")
    class_bars("F1", np.array([0.1, 0.2, 0.3]), TARGETS, names)
    assert confusion_picture(SCORES, TARGETS, names).shape[2] == 3
    title = caption("$\\foo$.wav", "犬", top_answers(probabilities(SCORES, "single-label")[0], names))
    assert draw_log_mels({title: torch.rand(128, 20)}, AstFrontEndConfig()).shape[2] == 3
