"""What came in under the official names goes out under the very same: names, shapes, types and values."""

import json
from pathlib import Path

import pytest
import torch
from golden import Golden, golden_paths
from kinds import KINDS
from kinds.kind import write_weights

from zoo.weights.export import convert
from zoo.weights.source import read

OFFICIAL = ("ast_eval", "ssast_pretrain", "passt_eval", "passt_arch")
UNUSED = ("v.head.", "v.head_dist.", "head_dist.")
"""Of classifiers that the official classes demand and never use: zeros here."""

PATHS = [path for path in golden_paths() if json.loads(path.read_text())["kind"] in OFFICIAL]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_official_file_comes_out_as_it_came_in(path: Path, tmp_path: Path) -> None:
    golden = Golden(path)
    model = KINDS[golden.meta["kind"]].build(golden, tmp_path)
    model = getattr(model, "model", model)
    config = model.config.model_dump(mode="json")
    own = {key: config[key] for key in ("kind", "stride", "n_mels", "n_frames", "num_heads")}
    source = write_weights(golden, "main", tmp_path)
    convert(source, tmp_path / "again.pth", "official", overrides={"own": own})
    before = torch.load(source, weights_only=True)
    after = torch.load(tmp_path / "again.pth", weights_only=True)
    assert after.keys() == before.keys()
    for key, tensor in before.items():
        assert (after[key].shape, after[key].dtype) == (tensor.shape, tensor.dtype), key
        is_unused = key.removeprefix("module.").startswith(UNUSED)
        assert is_unused or torch.equal(after[key], tensor), key
    assert read(tmp_path / "again.pth", own).model_config == read(source, own).model_config
