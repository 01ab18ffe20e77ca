"""The attentive probe: what a mean over tokens cannot say, padding, and the same numbers each time."""

import pytest
import torch
from torch import Tensor

from zoo.errors import DataError, ZooError
from zoo.evaluate.attention import AttentionConfig, AttentiveProbe, attentive_scores
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.probes import linear_probe


def needle(clips: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of twelve tokens one is marked, and its sign is the class; the others' signs are drawn so that the mean of all
    says nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(clips) % 2
    tokens = torch.zeros(clips, 12, 6)
    signs = torch.where(torch.rand(clips, 12, generator=generator) < 0.5, -1.0, 1.0)
    place = torch.randint(0, 12, (clips,), generator=generator)
    signs[torch.arange(clips), place] = 2.0 * labels - 1
    # One other token takes the marked one's sign out of the mean.
    other = (place + 1) % 12
    signs[torch.arange(clips), other] = 1 - 2.0 * labels
    tokens[:, :, 0] = signs
    tokens[torch.arange(clips), place, 1] = 1.0
    tokens += 0.05 * torch.randn(tokens.shape, generator=generator)
    return tokens + 3.0, torch.zeros(clips, 12, dtype=torch.bool), torch.eye(2)[labels]


def test_it_finds_a_needle_that_the_mean_hides() -> None:
    (train, no_padding, targets), (test, _, asked) = needle(256, 0), needle(200, 1)
    mean = linear_probe(train.mean(1), targets, test.mean(1), asked)["accuracy"]
    scores = attentive_scores(train.half(), no_padding, targets, test, no_padding[:200])
    assert mean < 0.65
    assert classification_metrics(scores, asked, "single-label")["accuracy"] > 0.95


def test_multi_label() -> None:
    (train, no_padding, targets), (test, _, asked) = needle(256, 0), needle(200, 1)
    two, of_two = torch.cat([targets, 1 - targets], 1), torch.cat([asked, 1 - asked], 1)
    scores = attentive_scores(train, no_padding, two, test, no_padding[:200], "multi-label")
    assert scores.shape == (200, 4)
    assert classification_metrics(scores, of_two, "multi-label")["mAP"] > 0.95


def test_it_is_what_its_formula_says() -> None:
    """Standardised tokens, a softmax over the real ones, and a linear map of what the heads find."""
    mean, deviation = torch.randn(5), torch.rand(5) + 0.5
    probe = AttentiveProbe(mean, deviation, 3, heads=2)
    torch.nn.init.normal_(probe.query)
    torch.nn.init.normal_(probe.linear.weight)
    tokens, is_padded = torch.randn(4, 7, 5), torch.arange(7) >= torch.tensor([7, 3, 1, 5])[:, None]
    expected = []
    for row, padded in zip(tokens, is_padded, strict=True):
        standard = (row[~padded] - mean) / deviation
        heads = [torch.softmax(standard @ query / 5**0.5, 0) @ standard for query in probe.query]
        expected.append(probe.linear(torch.cat(heads)))
    torch.testing.assert_close(probe(tokens, is_padded), torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing() -> None:
    (train, no_padding, targets), (test, _, _) = needle(64, 0), needle(20, 1)
    config = AttentionConfig(steps=30)
    plain = attentive_scores(train, no_padding, targets, test, no_padding[:20], config=config)
    wide = torch.cat([train, torch.full((64, 3, 6), 50.0)], 1)
    padding = torch.cat([no_padding, torch.ones(64, 3, dtype=torch.bool)], 1)
    padded = attentive_scores(wide, padding, targets, test, no_padding[:20], config=config)
    torch.testing.assert_close(padded, plain, rtol=1e-2, atol=1e-3)


def test_the_same_seed_gives_the_same_numbers() -> None:
    (train, no_padding, targets), (test, _, _) = needle(64, 0), needle(20, 1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    once, again, other = (
        attentive_scores(train, no_padding, targets, test, no_padding[:20], config=AttentionConfig(steps=20, seed=seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(before, torch.get_rng_state())


def test_it_trains_where_gradients_are_off() -> None:
    (train, no_padding, targets), (test, _, _) = needle(64, 0), needle(20, 1)
    with torch.no_grad():
        scores = attentive_scores(train, no_padding, targets, test, no_padding[:20], config=AttentionConfig(steps=20))
    assert scores.std() > 0


def test_errors() -> None:
    train, no_padding, targets = needle(8, 0)
    with pytest.raises(DataError, match="fewer than two classes"):
        attentive_scores(train[::2], no_padding[::2], targets[::2], train, no_padding)
    train[3, 2, 1] = torch.inf
    with pytest.raises(ZooError, match="tokens that are not finite"):
        attentive_scores(train, no_padding, targets, train, no_padding)
