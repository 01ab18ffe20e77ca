"""Embeddings as a Parquet file, written while they are computed: no more than a row group is in memory."""

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from zoo.disk import written_whole
from zoo.errors import ZooError
from zoo.use.embeddings import Kind, Piece

_VALUES = 1 << 23  # numbers in a row group: 32 MB


def arrow() -> Any:
    """pyarrow, which is optional. Raises ZooError with what to install."""
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise ZooError(
            "embed: pyarrow is not installed - expected it for .parquet - pip install 'spectrogram-zoo[parquet]', or "
            "write an .npz"
        ) from None


def write_parquet(out: Path, kind: Kind, pieces: Iterable[Piece]) -> dict[str, int]:
    """A row for every vector: path, [time, frequency, layer,] embedding. Returns the numbers of clips, rows and values
    of a vector.

    A row group holds some 32 MB. `about` of the kind is in the metadata of the schema, as JSON.

    Raises: CheckpointError - the disk refuses.
    """
    pa = arrow()
    schema = _schema(pa, kind)
    clips, rows, width = 0, 0, 0
    last = None
    waiting: list[Any] = []
    size = 0
    with written_whole(out) as path, pa.parquet.ParquetWriter(str(path), schema) as writer:
        for piece in pieces:
            clips += piece.clip != last
            last = piece.clip
            rows += piece.values.size // piece.values.shape[-1]
            width = piece.values.shape[-1]
            waiting.append(_table(pa, schema, kind, piece))
            size += piece.values.size
            if size >= _VALUES:
                writer.write_table(pa.concat_tables(waiting))
                waiting, size = [], 0
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    return {"clips": clips, "rows": rows, "width": width}


def _schema(pa: Any, kind: Kind) -> Any:
    number = pa.float16() if kind.dtype == "float16" else pa.float32()
    fields = [("path", pa.string())]
    fields += [("time", pa.float64())] if kind.level != "clip" else []
    fields += [("frequency", pa.float64())] if kind.level == "patch" else []
    fields += [("layer", pa.int32())] if len(kind.layers) > 1 else []
    fields += [("embedding", pa.list_(number))]
    told = {key: value if isinstance(value, str) else json.dumps(value) for key, value in kind.about.items()}
    return pa.schema(fields, metadata={**told, "level": kind.level, "layers": json.dumps(kind.layers)})


def _table(pa: Any, schema: Any, kind: Kind, piece: Piece) -> Any:
    """The rows of a piece: by time, then frequency, then layer."""
    values = piece.values.transpose(2, 1, 0, 3)  # (T, F, L, D)
    num_times, num_rows, num_layers, width = values.shape
    count = num_times * num_rows * num_layers
    index = np.indices((num_times, num_rows, num_layers)).reshape(3, -1)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    ends = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    columns: dict[str, Any] = {
        "path": pa.array([piece.path.encode("utf-8", "backslashreplace").decode()] * count),
        "embedding": pa.ListArray.from_arrays(ends, flat),
    }
    if piece.times is not None:
        columns["time"] = pa.array(piece.times[index[0]])
    if kind.frequencies is not None:
        columns["frequency"] = pa.array(kind.frequencies[index[1]])
    columns["layer"] = pa.array(np.array(kind.layers, dtype=np.int32)[index[2]])
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
