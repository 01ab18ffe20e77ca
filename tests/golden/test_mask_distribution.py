"""The released mask sampler as a whole: one chi-square of all patches, where test_goldens allows each its tolerance."""

from pathlib import Path

import pytest
import torch
from golden import DATA, Golden, golden_paths
from kinds import KINDS

from tests.unit.mask_marginals import rao_scott
from zoo.draws import clip_keys
from zoo.nn.masking import draw_mask

PATHS = [path for path in golden_paths(DATA) if Golden(path).kind == "ssast_mask_stats"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_patches_are_masked_as_often_as_in_the_released_code(path: Path, tmp_path: Path) -> None:
    """Two samples of one distribution: its `draws`, and 8,000 of ours. A tenth of even masks among ours fail."""
    golden = Golden(path)
    official = golden.meta["constructor"]
    model = KINDS[golden.kind].build(golden, tmp_path)
    keys = clip_keys(11, 0, torch.arange(8000))
    ours = model.draw(model.config.grid, keys)
    theirs = torch.from_numpy(golden.arrays["index_frequency"]).double()
    assert float(theirs.sum()) == pytest.approx(official["mask_patch"], abs=1e-3)
    assert rao_scott(ours, theirs, official["draws"]).p_value > 1e-3
    if official["kind"] == "patch":  # one by one both are even
        even = draw_mask(model.config.grid, model.num_masked, model.cluster_size, keys[::10])
        assert rao_scott(even, theirs, official["draws"]).p_value < 1e-30
        ours[::10] = even
        assert rao_scott(ours, theirs, official["draws"]).p_value < 1e-3
