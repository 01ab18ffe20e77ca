"""Vectors with their labels and small pictures, as files that TensorBoard's Projector shows of a run.

They lie in the run's folder `projector`, with `projector_config.pbtxt` beside it, which names them relative to itself:
a run that is moved or copied keeps them. There is one set a run, the latest: writing it again replaces it. None of it
is an event file, so it makes no run of its own.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from zoo import disk
from zoo.errors import ShapeError

CONFIG = "projector_config.pbtxt"
FOLDER = "projector"
_LARGEST_SPRITE = 8192  # pixels, along a side: what TensorBoard takes


def write_projector(
    run: Path,
    vectors: Float[np.ndarray, "n embed"],
    columns: Mapping[str, Sequence[str]],
    pictures: UInt8[np.ndarray, "m height width 3"],
) -> None:
    """Writes the files of a run folder.

    Args:
        columns: title -> what it says of every vector; two or more, since of one TensorBoard wants no title.
        pictures: one of every vector.

    Raises:
        ShapeError: sizes that differ, or pictures too large for one sprite. CheckpointError: the disk refuses.
    """
    count, (height, width) = len(vectors), pictures.shape[1:3]
    sizes = {"pictures": len(pictures), **{title: len(values) for title, values in columns.items()}}
    wrong = [f"{title}: {size}" for title, size in sizes.items() if size != count]
    if wrong or len(columns) < 2:
        raise ShapeError(f"projector: found {count} vectors with {wrong or columns} - expected as many, in two columns")
    sprite = _sprite(pictures)
    if max(sprite.shape[:2]) > _LARGEST_SPRITE:
        raise ShapeError(
            f"projector: found {count} pictures of {height} x {width} - expected them to fit {_LARGEST_SPRITE} pixels "
            "along a side - take fewer or smaller ones"
        )
    folder = run / FOLDER
    rows = zip(*columns.values(), strict=True)
    with disk.refusals_told(folder, "make room"):
        folder.mkdir(parents=True, exist_ok=True)
    with disk.written_whole(folder / "vectors.tsv") as file:
        file.write_text("".join("\t".join(f"{value:.6g}" for value in vector) + "\n" for vector in vectors))
    with disk.written_whole(folder / "clips.tsv") as file:
        lines = ["\t".join(_cell(value) for value in row) + "\n" for row in (columns, *rows)]
        file.write_text("".join(lines), encoding="utf-8")
    with disk.written_whole(folder / "pictures.png") as file:
        Image.fromarray(sprite).save(file, format="PNG")
    with disk.written_whole(run / CONFIG) as file:
        file.write_text(
            f"embeddings {{\n"
            f'  tensor_name: "clips"\n'
            f'  tensor_path: "{FOLDER}/vectors.tsv"\n'
            f'  metadata_path: "{FOLDER}/clips.tsv"\n'
            f"  sprite {{\n"
            f'    image_path: "{FOLDER}/pictures.png"\n'
            f"    single_image_dim: {width}\n"
            f"    single_image_dim: {height}\n"
            f"  }}\n"
            f"}}\n"
        )


def _sprite(pictures: UInt8[np.ndarray, "n height width 3"]) -> UInt8[np.ndarray, "rows columns 3"]:
    """All pictures in one, row by row on a square grid, which is how TensorBoard counts them."""
    count, height, width, _ = pictures.shape
    side = math.ceil(math.sqrt(count))
    sprite = np.zeros((side * height, side * width, 3), np.uint8)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, side)
        sprite[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    return sprite


def _cell(value: object) -> str:
    """On one line, without tabs."""
    return " ".join(str(value).split()) or "-"
