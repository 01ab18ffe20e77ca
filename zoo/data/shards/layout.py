"""What a pack is on the disk: its files, and `pack.json`, which says what they hold.

    OUT/shard-000000.tar …   members KEY.flac (or .wav, .npy, the original ending) and KEY.json
    OUT/index.jsonl          a row a clip: what the manifest said, and where its bytes lie
    OUT/bad_audio.jsonl      what could not be used, or is odd
    OUT/pack.json            the last to be written: a folder with it is complete

While a pack is made, `packing.json` says of what, and `parts/` has the rows of every shard that is done.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, Field, model_validator

from zoo.audio.front_end import SampleRate
from zoo.audio.front_ends import FrontEndConfig
from zoo.config import Config, Count
from zoo.data.shards.names import check_shard_name
from zoo.errors import DataError

PACK = "pack.json"
PACKING = "packing.json"
INDEX = "index.jsonl"
BAD_AUDIO = "bad_audio.jsonl"
PARTS = "parts"
VERSION = 1

Mode = Literal["original", "flac", "wav", "features"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PackOptions(Config):
    """What decides which bytes are packed, and how they are spread over shards."""

    mode: Mode
    """The bytes of the files, 16-bit FLAC or WAV at one rate, or log-mels."""
    sample_rate: SampleRate | None = None
    """Hz, of what was decoded; null in mode original."""
    front_end: FrontEndConfig | None = None
    """What made the log-mels, which are stored before normalisation; null but in mode features."""
    dtype: Literal["float16", "float32"] | None = None
    """Of the log-mels."""
    labelled: bool = True
    """Whether the labels of the source were read."""
    shard_bytes: Annotated[int, Field(ge=10_240, le=10**13)] = 10**9
    """A shard ends before it would grow beyond this; a member larger than it has a shard of its own."""
    shard_clips: Annotated[int, Field(ge=1)] | None = None
    """A shard ends when it has this many members with audio."""

    @model_validator(mode="after")
    def _fits(self) -> "PackOptions":
        is_features = self.mode == "features"
        if (self.front_end is not None) != is_features or (self.dtype is not None) != is_features:
            raise ValueError("front_end and dtype belong to mode features")
        if (self.sample_rate is None) != (self.mode == "original"):
            raise ValueError("sample_rate belongs to all modes but original")
        return self


class ShardInfo(Config):
    """A shard as it was written."""

    name: Annotated[str, AfterValidator(check_shard_name)]
    bytes: Count
    sha256: Sha256
    clips: Count


class Pack(Config):
    """The content of `pack.json`."""

    format: Literal["spectrogram-zoo pack"] = "spectrogram-zoo pack"
    version: Literal[1] = 1
    options: PackOptions
    source: str
    """The manifest, as it was given."""
    source_hash: str
    """Of what the manifest says of its clips; empty where shards were indexed that came without an index."""
    clips: Count
    members: Count
    """With audio: several clips may be cuts of one."""
    seconds: Annotated[float, Field(ge=0)]
    """Of sound, over all clips."""
    bad_clips: Count
    odd_clips: Count
    clipped_clips: Count
    """In which samples went beyond full scale and were cut off at it."""
    clipped_samples: Count
    shards: tuple[ShardInfo, ...]
    index_sha256: Sha256
    versions: dict[str, str]


def is_pack(folder: Path) -> bool:
    """Whether a folder is a pack, finished or not."""
    return (folder / PACK).is_file() or (folder / PACKING).is_file()


def read_pack(folder: Path, shown: str) -> Pack:
    """What a pack says about itself. Raises `DataError` for one that is not finished, or not of this format."""
    path = folder / PACK
    if not is_pack(folder):
        raise DataError(f"{shown}: no pack (no {PACK}) - expected a folder that zoo pack made - check the path")
    if not path.is_file():
        raise DataError(f"{shown}: a pack that is not finished - expected {PACK} in it - run its zoo pack again")
    return parse_pack(path.read_bytes(), f"{shown}/{PACK}")


def parse_pack(text: bytes, where: str) -> Pack:
    """The content of a `pack.json`. Raises `DataError`, one line."""
    try:
        return Pack.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise DataError(f"{where}: {first_problem(error)} - expected what zoo pack wrote - pack again") from None


def first_problem(error: pydantic.ValidationError) -> str:
    """Where, and what, in a few words."""
    first: Any = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def shard_name(number: int) -> str:
    """`shard-000003.tar`"""
    return f"shard-{number:06d}.tar"
