"""Makes a pack: plans, encodes, writes shard by shard, verifies each, and goes on where an earlier attempt ended."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from zoo import disk
from zoo.audio.byte_range import ByteRange
from zoo.data.bad_audio import BadAudioLog
from zoo.data.batch import BadAudio
from zoo.data.in_order import in_order
from zoo.data.manifest import Manifest
from zoo.data.shards.encode import Encoded, encode
from zoo.data.shards.folder import begin, finished
from zoo.data.shards.layout import BAD_AUDIO, INDEX, PACK, PACKING, PARTS, Pack, PackOptions, ShardInfo, shard_name
from zoo.data.shards.parts import Part, PartRow, Tally, read_part, read_rows, remove_from, write_part
from zoo.data.shards.rows import clip_fields, dump_row
from zoo.data.shards.tar import TarWriter, first_difference, forget_cached, sha256_of
from zoo.data.shards.units import Unit, Units
from zoo.errors import DataError

_ADVICE = "make room; the same command goes on where it stopped"


@dataclass(frozen=True)
class Packed:
    """What `write_pack` did."""

    pack: Pack
    was_finished: bool
    """There was nothing to do."""
    kept_shards: int
    """Found whole from an earlier attempt."""


def write_pack(
    manifest: Manifest,
    out: Path,
    options: PackOptions,
    *,
    max_bad_share: float = 0.5,
    workers: int = 0,
    versions: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Packed:
    """Packs all clips of a manifest into a folder that is new, or in which the same pack was begun.

    Args:
        max_bad_share: of the clips, how many may be unusable.
        workers: processes that decode and encode; 0 is this one. The bytes do not depend on it.
        on_progress: (clips done, clips in all)

    Raises:
        DataError: the folder holds something else; too many clips are unusable; what was written reads back wrong.
        CheckpointError: the disk refuses. What is finished stays, and the same call goes on.
    """
    source_hash = _hash(manifest)
    if finished(out, manifest.source, source_hash, options) is not None:
        return Packed(_clean(out), True, 0)
    begin(out, manifest.source, source_hash, options)
    packing = _Packing(manifest, out, options, max_bad_share, on_progress or (lambda done, total: None))
    kept = packing.resume()
    units = packing.units.starting_at(packing.next_unit)
    try:
        with closing(in_order(partial(encode, options), units, workers)) as encoded:
            packing.run(encoded)
    finally:
        packing.write_bad_audio()  # whatever ends the run: it may be why
    packing.finish(source_hash, dict(versions or {}))
    return Packed(_clean(out), False, kept)


class _Packing:
    def __init__(
        self,
        manifest: Manifest,
        out: Path,
        options: PackOptions,
        max_bad_share: float,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self.manifest = manifest
        self.out = out
        self.options = options
        self.units = Units(manifest.clips, options.mode)
        self.next_unit = 0
        self._parts: list[Part] = []
        self._bad = BadAudioLog(None, max_bad_share, len(manifest), "pack", limit="--max-bad-share")
        self._all_bad: list[BadAudio] = []
        self._usable = 0
        self._on_progress = on_progress

    def resume(self) -> int:
        """Counts what is finished already, and removes what is not. How many shards stay."""
        while (part := read_part(self.out, len(self._parts))) is not None:
            path = self.out / part.shard.name
            if not path.is_file() or path.stat().st_size != part.shard.bytes or sha256_of(path) != part.shard.sha256:
                break
            self._count(part)
        remove_from(self.out, len(self._parts))
        return len(self._parts)

    def run(self, encoded: Iterator[Encoded]) -> None:
        """Writes the rest of the shards."""
        ahead = next(encoded, None)
        while ahead is not None:
            with disk.refusals_told(self.out, _ADVICE), ExitStack() as stack:
                path = self.out / shard_name(len(self._parts))
                temporary = stack.enter_context(disk.temporary_beside(path))
                shard = _Shard(temporary, path.name, self.options, self.next_unit)
                stack.callback(shard.writer.abandon)
                while ahead is not None and shard.takes(ahead):
                    shard.add(ahead)
                    self._see(ahead)
                    ahead = next(encoded, None)
                if not shard.rows:  # only unusable clips were left
                    shard.writer.abandon()
                    disk.remove(temporary)
                    break
                part = self._close(shard, temporary, path)
            with disk.refusals_told(self.out, _ADVICE):
                write_part(self.out, len(self._parts), part, shard.rows)
            self._parts.append(part)
            self.next_unit = part.tally.end_unit

    def write_bad_audio(self) -> None:
        """The clips so far that could not be used, and the odd ones."""
        with disk.written_whole(self.out / BAD_AUDIO) as path:
            BadAudioLog(path, 1.0, len(self.manifest), "pack").add(self._all_bad)
            path.touch()

    def finish(self, source_hash: str, versions: dict[str, str]) -> None:
        """Writes the index and, last, what makes the folder a pack."""
        if not self._parts:
            raise DataError(
                f"{self.manifest.source}: no clip can be used - expected audio - see {self.out / BAD_AUDIO}"
            )
        with disk.written_whole(self.out / INDEX) as path, path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{row}\n" for row in self._rows())
        tallies = [part.tally for part in self._parts]
        pack = Pack(
            options=self.options,
            source=self.manifest.source,
            source_hash=source_hash,
            clips=sum(tally.clips for tally in tallies),
            members=sum(tally.members for tally in tallies),
            seconds=round(sum(tally.seconds for tally in tallies), 3),
            bad_clips=self._bad.num_unusable,
            odd_clips=sum(bad.used for bad in self._all_bad),
            clipped_clips=sum(tally.clipped_clips for tally in tallies),
            clipped_samples=sum(tally.clipped_samples for tally in tallies),
            shards=tuple(part.shard for part in self._parts),
            index_sha256=sha256_of(self.out / INDEX),
            versions=versions,
        )
        with disk.written_whole(self.out / PACK) as path:
            disk.write_json(path, pack.model_dump(mode="json"))

    def _close(self, shard: "_Shard", temporary: Path, path: Path) -> Part:
        """Puts a shard in its place when it reads back as it was written."""
        shard.writer.close()
        disk.sync(temporary)
        forget_cached(temporary)
        wrong = first_difference(temporary, shard.writer.members)
        if wrong is not None:
            raise DataError(f"{wrong} - expected to read what was just written - check the disk, and run this again")
        size, sha256 = temporary.stat().st_size, sha256_of(temporary)
        temporary.replace(path)
        disk.sync_names(path.parent)
        info = ShardInfo(name=path.name, bytes=size, sha256=sha256, clips=shard.tally.clips)
        return Part(info, shard.tally)

    def _count(self, part: Part) -> None:
        self._parts.append(part)
        self.next_unit = part.tally.end_unit
        self._all_bad += part.tally.bad
        self._bad.add(part.tally.bad)
        self._usable += part.tally.clips

    def _see(self, encoded: Encoded) -> None:
        self._all_bad += encoded.bad
        self._bad.add(encoded.bad)
        self._usable += len(encoded.usable)
        self._bad.check(self._usable)
        self._on_progress(self._usable + self._bad.num_unusable, len(self.manifest))

    def _rows(self) -> Iterable[str]:
        """All rows in the order of the manifest."""
        found: Iterable[PartRow] = chain.from_iterable(read_rows(self.out, i) for i in range(len(self._parts)))
        if self.units.shares_members:  # a clip then lies where the first one of its file does
            found = sorted(found, key=lambda pair: pair[0])
        return (row for _, row in found)


class _Shard:
    """The shard that is being written."""

    def __init__(self, path: Path, name: str, options: PackOptions, first_unit: int) -> None:
        self.writer = TarWriter(path)
        self.rows: list[PartRow] = []
        self.tally = Tally(first_unit, first_unit)
        self._name = name
        self._options = options

    def takes(self, encoded: Encoded) -> bool:
        """Whether it may grow by this; an empty shard takes anything."""
        if not self.rows or not encoded.usable:
            return True
        is_full = self._options.shard_clips is not None and self.tally.members >= self._options.shard_clips
        told = len(json.dumps(_told(encoded, self._options)))
        return not is_full and self.writer.size_with(encoded.size, told) <= self._options.shard_bytes

    def add(self, encoded: Encoded) -> None:
        """Appends the members of a unit, if any of its clips can be used."""
        tally, unit = self.tally, encoded.unit
        counted = replace(tally, end_unit=unit.number + 1, bad=tally.bad + encoded.bad)
        if encoded.usable:
            name = f"{unit.key}.{encoded.ending}"
            with _content(encoded) as content:
                member = self.writer.add(name, encoded.size, content)
            self.writer.add_json(f"{unit.key}.json", _told(encoded, self._options))
            place = {"shard": self._name, "member": name, "offset": member.offset, "size": member.size}
            for index, seconds in encoded.usable:
                fields = _fields(unit, index, self._options)
                row = fields | {"seconds": round(seconds, 6)} | place | {"crc32": member.crc32}
                self.rows.append((unit.rows[index], dump_row(row)))
            counted = replace(
                counted,
                members=tally.members + 1,
                clips=tally.clips + len(encoded.usable),
                seconds=tally.seconds + sum(seconds for _, seconds in encoded.usable),
                clipped_clips=tally.clipped_clips + (encoded.clipped > 0),
                clipped_samples=tally.clipped_samples + encoded.clipped,
            )
        self.tally = counted


def _fields(unit: Unit, index: int, options: PackOptions) -> dict[str, Any]:
    return clip_fields(unit.clips[index], options.labelled, with_cut=options.mode == "original")


def _told(encoded: Encoded, options: PackOptions) -> dict[str, Any]:
    """The JSON beside the audio: the clip, or a list of clips where several are cuts of one file."""
    clips = [_fields(encoded.unit, index, options) for index, _ in encoded.usable]
    return clips[0] if len(encoded.unit.clips) == 1 else {"clips": clips}


def _content(encoded: Encoded) -> io.BufferedReader | io.BytesIO:
    """The bytes of the member. Raises DataError: its file has changed since it was decoded."""
    if encoded.content is not None:
        return io.BytesIO(encoded.content)
    audio = encoded.unit.audio
    try:
        file = audio.open() if isinstance(audio, ByteRange) else audio.open("rb")
    except OSError as error:
        raise DataError(f"{audio}: {error.strerror} after it was decoded - expected files at rest") from None
    if file.seek(0, io.SEEK_END) != encoded.size:
        file.close()
        raise DataError(f"{audio}: changed while it was packed - expected files at rest - run the same command again")
    file.seek(0)
    return file


def _hash(manifest: Manifest) -> str:
    """Of all that is packed: the manifest's hash, and the groups, which it leaves out."""
    digest = hashlib.sha256(manifest.hash.encode("ascii"))
    for clip in manifest.clips:
        digest.update(ascii(clip.group).encode("ascii") + b"\n")
    return digest.hexdigest()


def _clean(out: Path) -> Pack:
    """A finished pack, without what was needed to make it."""
    pack = Pack.model_validate_json((out / PACK).read_bytes())
    disk.remove(out / PARTS)
    disk.remove(out / PACKING)
    return pack
