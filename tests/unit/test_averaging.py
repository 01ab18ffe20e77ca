"""One answer from several windows: the mean probability, sure answers and single windows included."""

import torch

from zoo.evaluate.averaging import average_windows, mean_output, mean_probability


def test_single_label_is_the_mean_softmax() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64) * 3
    found = mean_probability("single-label")(logits)
    torch.testing.assert_close(found.softmax(0), logits.softmax(1).mean(0))
    torch.testing.assert_close(found.exp(), logits.softmax(1).mean(0))


def test_multi_label_is_the_mean_sigmoid_of_every_class() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64) * 3
    found = mean_probability("multi-label")(logits)
    torch.testing.assert_close(found.sigmoid(), logits.sigmoid().mean(0))


def test_sure_windows_do_not_saturate() -> None:
    """float64 knows no sigmoid(800) but 1: the odds of the mean must still be told apart."""
    found = mean_probability("multi-label")(torch.tensor([[800.0, -800.0], [700.0, -700.0]], dtype=torch.float64))
    # 1 - p is the mean of exp(-800) and exp(-700): odds of 2 exp(700).
    expected = 700 + torch.tensor(2.0, dtype=torch.float64).log()
    torch.testing.assert_close(found, torch.stack([expected, -expected]))
    sure = mean_probability("single-label")(torch.tensor([[900.0, 0.0], [0.0, 900.0]], dtype=torch.float64))
    torch.testing.assert_close(sure.exp(), torch.tensor([0.5, 0.5], dtype=torch.float64))


def test_one_window_does_not_veto() -> None:
    """What the mean of logits would do: a window that is sure of the absence outvotes three that hear the class."""
    logits = torch.tensor([[3.0], [3.0], [3.0], [-30.0]], dtype=torch.float64)
    assert logits.mean() < 0
    assert mean_probability("multi-label")(logits) > 0


def test_windows_come_in_any_order_and_clips_go_out_in_theirs() -> None:
    outputs = torch.tensor([[5.0], [1.0], [7.0], [2.0], [6.0]])
    merged, firsts = average_windows(outputs, [9, 0, 9, 4, 9], mean_output)
    assert merged.tolist() == [[1.0], [2.0], [6.0]]
    assert firsts == [1, 3, 0]


def test_a_clip_of_one_window_keeps_its_output_bit_for_bit() -> None:
    outputs = torch.randn(6, 3) * 50
    for task in ("single-label", "multi-label"):
        merged, _ = average_windows(outputs, [2, 0, 1, 3, 4, 4], mean_probability(task))
        assert torch.equal(merged[:4], outputs[[1, 2, 0, 3]])
        torch.testing.assert_close(merged[4], mean_probability(task)(outputs[4:].double()).float())
