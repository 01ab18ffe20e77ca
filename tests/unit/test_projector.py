"""Files for TensorBoard's Projector, read back by its own code."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.plugins.projector.projector_plugin import _read_tensor_tsv_file, _rel_to_abs_asset_path

from zoo.errors import CheckpointError, ShapeError
from zoo.train.projector import write_projector

COLUMNS = {"label": ["dog", "a\tcat\n", ""], "clip": ["1", "2", "3"]}


def pictures(count: int = 3, height: int = 4, width: int = 6) -> np.ndarray:
    """Each of one shade."""
    return np.stack([np.full((height, width, 3), 10 * (i + 1), np.uint8) for i in range(count)])


def read(run: Path) -> dict[str, Any]:
    """As the plugin does: the config, and what it names."""
    config = text_format.Parse((run / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (one,) = config.embeddings

    def path(relative: str) -> str:
        return _rel_to_abs_asset_path(relative, str(run / "projector_config.pbtxt"))

    lines = Path(path(one.metadata_path)).read_text().splitlines()
    return {
        "vectors": np.asarray(_read_tensor_tsv_file(path(one.tensor_path))),
        "rows": [line.split("\t") for line in lines],
        "sprite": np.asarray(Image.open(path(one.sprite.image_path))),
        "size": tuple(one.sprite.single_image_dim),
    }


def test_what_is_written_is_read(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    write_projector(tmp_path / "run", vectors, COLUMNS, pictures())
    found = read(tmp_path / "run")
    np.testing.assert_allclose(found["vectors"], vectors, rtol=1e-5)
    assert found["rows"] == [["label", "clip"], ["dog", "1"], ["a cat", "2"], ["-", "3"]]
    assert found["size"] == (6, 4)  # width, height
    assert found["sprite"].shape == (8, 12, 3)  # two by two
    shades = [int(found["sprite"][row * 4, column * 6, 0]) for row in range(2) for column in range(2)]
    assert shades == [10, 20, 30, 0]


def test_the_latest_stays_and_a_moved_run_keeps_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for count in (3, 2):
        columns = {title: values[:count] for title, values in COLUMNS.items()}
        write_projector(run, np.full((count, 2), count, np.float32), columns, pictures(count))
        before = sorted(path.name for path in run.rglob("*"))
        assert len(read(run)["vectors"]) == count
    assert sorted(path.name for path in run.rglob("*")) == before
    shutil.move(run, tmp_path / "elsewhere")
    assert read(tmp_path / "elsewhere")["vectors"].tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"projector: found 2 vectors with .*pictures: 3.*clip: 3"):
        write_projector(tmp_path, np.zeros((2, 2)), COLUMNS, pictures())
    with pytest.raises(ShapeError, match="found 3 pictures of 4 x 5000 - expected them to fit 8192"):
        write_projector(tmp_path, np.zeros((3, 2)), COLUMNS, pictures(width=5000))
    (tmp_path / "projector").write_text("")
    with pytest.raises(CheckpointError, match="projector: found no way to write it"):
        write_projector(tmp_path, np.zeros((3, 2)), COLUMNS, pictures())


def test_names_cannot_break_the_config(tmp_path: Path) -> None:
    columns = {'la"bel': ['"', "\\", "é"], "clip": ["a\r\nb", "\x0b", "c"]}
    write_projector(tmp_path, np.zeros((3, 1)), columns, pictures())
    assert [len(row) for row in read(tmp_path)["rows"]] == [2, 2, 2, 2]
    assert json.dumps(read(tmp_path)["rows"][3]) == json.dumps(["é", "c"])
