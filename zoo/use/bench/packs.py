"""The clips that are measured on as `zoo pack` stores them; the straightforward way reads the files they are from."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zoo.use.bench.sounds import FORMS, Samples, Stored
from zoo.use.pack import pack_manifest

Store = Callable[[Iterator[Samples], int, Path], Stored]

PACKED = ("flac-shards", "wav-shards", "log-mel-shards")
"""What `--formats` may name beside files: shards of the files as they are, and of log-mels made of flac files."""


def stores(kind: str) -> dict[str, Store]:
    """Every way to store clips, by its name, for a front end of this kind."""
    return {
        **FORMS,
        "flac-shards": _packing("flac"),
        "wav-shards": _packing("wav"),
        "log-mel-shards": _packing("flac", mode="features", front_end_of=kind),
    }


def _packing(codec: str, **how: Any) -> Store:
    def store(clips: Iterator[Samples], sample_rate: int, folder: Path) -> Stored:
        files = FORMS[codec](clips, sample_rate, folder / "files")
        pack = folder / "pack"
        pack_manifest(files.source, pack, unlabelled=True, workers=0, **how)
        return Stored(str(pack), files.files, sum(shard.stat().st_size for shard in pack.glob("*.tar")))

    return store
