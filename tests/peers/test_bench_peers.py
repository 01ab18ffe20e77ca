"""What `zoo bench train` races with does the work that it is counted for."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from zoo.data.batch import Inputs
from zoo.use.bench.flops import step_flops_per_clip
from zoo.use.bench.ways import NUM_CLASSES, PEER, config_of, example_targets, make_way, why_no_peer


@pytest.mark.parametrize("family", ["ast", "ssast", "passt"])
def test_a_peers_step_has_as_many_operations_as_ours(family: str) -> None:
    if why_no_peer(family):
        pytest.skip(why_no_peer(family))
    way, config = make_way(family, "tiny", 1.0, PEER), config_of(family, "tiny", 1.0, PEER)
    inputs = Inputs(torch.randn(1, 128, config.n_frames), None, example_targets(1), torch.arange(1), ("a",))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        way.loss(way.model, inputs).backward()
    expected = step_flops_per_clip(family, "tiny", 1.0, PEER)
    # The released SSAST also embeds its patches twice, which is none of the work.
    assert counter.get_total_flops() == pytest.approx(expected, rel=5e-3 if family == "ssast" else 1e-6)
    assert inputs.target is not None
    assert inputs.target.shape == (1, NUM_CLASSES)
