"""The clips of a pack, from its index."""

from pathlib import Path

from zoo.data.clip import Clip
from zoo.data.problems import Problems
from zoo.data.shards.layout import INDEX, Pack
from zoo.data.shards.rows import RowReader
from zoo.errors import DataError

_ADVICE = "expected what zoo pack wrote - look with zoo pack --verify, or pack again"


def read_clips(pack: Pack, folder: Path, shown: str, labelled: bool) -> list[Clip]:
    """Every clip, in the order of the manifest; their paths are byte ranges of the shards.

    Whether the shards are there is not asked: a missing or damaged one is bad audio when it is used.

    Raises: `DataError` with everything that is wrong with the index, one line a problem; `labelled` and no labels.
    """
    where = f"{shown}/{INDEX}"
    if labelled and not pack.options.labelled:
        raise DataError(f"{shown}: packed without labels - expected labels - pack again without --unlabelled")
    problems = Problems(where)
    reader = RowReader(folder, {shard.name: shard.bytes for shard in pack.shards}, f"{where}:", labelled)
    clips: list[Clip] = []
    seen: set[str] = set()
    try:
        with (folder / INDEX).open(encoding="utf-8") as file:
            for line, text in enumerate(file, start=1):
                try:
                    clip = reader.read(text, line)
                except (ValueError, RecursionError) as error:
                    problems.add(f"{where}:{line}", f"{_one_line(error)} - {_ADVICE}")
                    continue
                if clip.id in seen:
                    problems.add(f"{where}:{line}", f"id {clip.id!r} stands there twice - {_ADVICE}")
                seen.add(clip.id)
                clips.append(clip)
    except UnicodeDecodeError:
        raise DataError(f"{where}: not UTF-8 - {_ADVICE}") from None
    except OSError as error:
        raise DataError(f"{where}: {error.strerror} - {_ADVICE}") from None
    problems.raise_if_any()
    if len(clips) != pack.clips:
        raise DataError(f"{where}: {len(clips)} rows - expected {pack.clips}, as in pack.json - pack again")
    if not clips:
        raise DataError(f"{shown}: no clip - expected at least one - pack clips that can be used")
    if labelled and not any(clip.labels for clip in clips):
        raise DataError(f"{shown}: no clip has a label - expected labels - pack a labelled manifest")
    return clips


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
