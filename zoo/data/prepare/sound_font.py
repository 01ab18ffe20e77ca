"""Read a SoundFont 2 file: which recorded samples sound for a program, a key and a velocity, and how.

A sound font is a RIFF file of 16-bit recordings and of four nested lists: a preset (program) has zones, each of which
names an instrument; an instrument has zones, each of which names a sample. A zone applies to a range of keys and
velocities and carries generators: numbers for tuning, loop, envelope and filter.

Written here because the readers on the package index do not fit: `sf2utils` imports `audioop`, which Python 3.13 has
not, and is under the GPL; `tinysoundfont` requires PyAudio, which does not build without PortAudio's headers.

Source: SoundFont Technical Specification 2.04 (E-mu, 2006), sections 4 to 9. Not read: modulators, 24-bit extensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Int16

from zoo.data.prepare.sound_font_generator import ADDITIVE, DEFAULTS, Gen
from zoo.errors import DataError

FONT_PACKAGE = "pretty_midi"
FONT_NAME = "TimGM6mb.sf2"

_BAG = np.dtype([("gen", "<u2"), ("mod", "<u2")])
_RECORDS = {
    "phdr": np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("unused", "V12")]),
    "pbag": _BAG,
    "pgen": np.dtype([("kind", "<u2"), ("amount", "<i2")]),
    "inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    "ibag": _BAG,
    "igen": np.dtype([("kind", "<u2"), ("amount", "<i2")]),
    "shdr": np.dtype(
        [
            *(("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"), ("loop_end", "<u4")),
            *(("rate", "<u4"), ("key", "u1"), ("correction", "i1"), ("link", "<u2"), ("kind", "<u2")),
        ]
    ),
}
_ROM, _COMPRESSED = 0x8000, 0x10

Zone = dict[int, int]
"""Generator -> amount, the zone's own and those it inherits from the global zone."""


@dataclass(frozen=True)
class Sample:
    """A recording. Positions are samples in `SoundFont.wave`; `end` and `loop_end` are the first after."""

    name: str
    start: int
    end: int
    loop_start: int
    loop_end: int
    sample_rate: int
    key: int
    correction: int
    """Cents to add when played."""


@dataclass(frozen=True)
class Voice:
    """One sample that sounds for a note, with every generator resolved."""

    sample: Sample
    amounts: Mapping[int, int]


@dataclass(frozen=True)
class SoundFont:
    """A font in memory: recordings, and the zones of instruments and presets that say when and how each sounds."""

    path: Path
    wave: Int16[np.ndarray, "sample"]
    samples: tuple[Sample | None, ...]
    """None: an empty recording, or one in some device's memory."""
    instruments: tuple[tuple[Zone, ...], ...]
    presets: Mapping[tuple[int, int], tuple[str, tuple[Zone, ...]]]
    """(bank, program) -> name and zones."""

    def voices(self, program: int, key: int, velocity: int, bank: int = 0) -> list[Voice]:
        """The samples that sound together for this note; none where the program has no zone for it."""
        found = []
        for preset in self._zones(program, bank):
            if not _covers(preset, key, velocity):
                continue
            for zone in self.instruments[preset[Gen.INSTRUMENT]]:
                sample = self.samples[zone[Gen.SAMPLE]]
                if sample is None or not _covers(zone, key, velocity):
                    continue
                amounts = {**DEFAULTS, **zone}
                for gen in preset.keys() & ADDITIVE:
                    amounts[gen] += preset[gen]
                found.append(Voice(sample, MappingProxyType(amounts)))
        return found

    def recordings(self, program: int, bank: int = 0) -> frozenset[int]:
        """The indices of all samples that any note of this program may use."""
        return frozenset(
            zone[Gen.SAMPLE]
            for preset in self._zones(program, bank)
            for zone in self.instruments[preset[Gen.INSTRUMENT]]
            if self.samples[zone[Gen.SAMPLE]] is not None
        )

    def _zones(self, program: int, bank: int) -> tuple[Zone, ...]:
        if (bank, program) not in self.presets:
            raise DataError(f"{self.path}: no program {program} in bank {bank} - expected one of the font's programs")
        return self.presets[bank, program][1]


def find_sound_font() -> Path:
    """The font in the installed wheel `pretty_midi`, found without importing that package.

    Raises: DataError when it is not installed.
    """
    try:
        files = metadata.files(FONT_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.name == FONT_NAME]
    spec = util.find_spec(FONT_PACKAGE)  # of a top-level name: nothing is imported
    found += [Path(folder) / FONT_NAME for folder in (spec.submodule_search_locations or [] if spec else [])]
    for path in found:
        if path.is_file():
            return path
    raise DataError(
        f"sound font {FONT_NAME}: not found - expected in the installed package {FONT_PACKAGE} - "
        "pip install 'spectrogram-zoo[quickstart]', or give the path of an .sf2 file"
    )


def read_sound_font(path: Path) -> SoundFont:
    """Raises: DataError when the file is missing, is no SoundFont 2, or is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}) - expected a SoundFont 2 file (.sf2)") from error
    try:
        return _parse(path, data)
    except _DamagedError as error:
        raise DataError(f"{path}: {error} - expected a whole SoundFont 2 file - get it again") from error


class _DamagedError(Exception):
    pass


def _parse(path: Path, data: bytes) -> SoundFont:
    chunks = _chunks(data)
    missing = [name for name in ("smpl", *_RECORDS) if name not in chunks]
    if missing:
        raise _DamagedError(f"has no {', '.join(missing)} chunk")
    wave = np.frombuffer(chunks["smpl"], "<i2", len(chunks["smpl"]) // 2)
    lists = {}
    for name, dtype in _RECORDS.items():
        if len(chunks[name]) % dtype.itemsize or not chunks[name]:
            raise _DamagedError(f"{name} chunk of {len(chunks[name])} bytes, not a multiple of {dtype.itemsize}")
        lists[name] = np.frombuffer(chunks[name], dtype)
    # The last record of every list is a terminator.
    samples = tuple(_sample(record, wave.size) for record in lists["shdr"][:-1])
    instruments = _zone_lists(lists["inst"]["bag"], lists["ibag"]["gen"], lists["igen"], Gen.SAMPLE, len(samples))
    presets = _zone_lists(lists["phdr"]["bag"], lists["pbag"]["gen"], lists["pgen"], Gen.INSTRUMENT, len(instruments))
    headers = lists["phdr"][:-1]
    named = {(int(h["bank"]), int(h["program"])): (_text(h["name"]), z) for h, z in zip(headers, presets, strict=True)}
    return SoundFont(path, wave, samples, instruments, MappingProxyType(named))


def _chunks(data: bytes) -> dict[str, bytes]:
    """Name -> content of every chunk inside the LISTs of the file."""
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise _DamagedError("is no SoundFont 2 (no RIFF/sfbk header)")
    chunks: dict[str, bytes] = {}
    pending = [(12, len(data))]
    while pending:
        at, stop = pending.pop()
        while at + 8 <= stop:
            name, begin = data[at : at + 4], at + 8
            end = begin + int.from_bytes(data[at + 4 : begin], "little")
            if end > stop:
                raise _DamagedError(f"is cut short: {stop - begin} of {end - begin} bytes of chunk {_text(name)!r}")
            if name == b"LIST":
                pending.append((begin + 4, end))
            else:
                chunks[_text(name)] = data[begin:end]
            at = end + (end & 1)  # chunks begin at even positions
    return chunks


def _text(name: bytes) -> str:
    return name.split(b"\0")[0].decode("latin-1").strip()


def _sample(record: np.void, wave_size: int) -> Sample | None:
    kind = int(record["kind"])
    start, end, rate = int(record["start"]), int(record["end"]), int(record["rate"])
    if kind & _ROM or start == end:
        return None
    name = _text(record["name"])
    if kind & _COMPRESSED:
        raise _DamagedError(f"sample {name!r} is compressed (SoundFont 3)")
    if not (start < end <= wave_size and 400 <= rate <= 192_000):
        raise _DamagedError(f"sample {name!r} at {start}..{end} of {wave_size} samples, {rate} Hz")
    loop = int(record["loop_start"]), int(record["loop_end"])
    return Sample(name, start, end, *loop, rate, int(record["key"]), int(record["correction"]))


def _zone_lists(
    owners: np.ndarray, bags: np.ndarray, gens: np.ndarray, link: int, num_linked: int
) -> tuple[tuple[Zone, ...], ...]:
    """The zones of every preset or instrument; `link` is the generator that names what a zone plays."""
    for what, index, size in (("zone", owners, len(bags)), ("generator", bags, len(gens))):
        if np.any(index[1:] < index[:-1]) or index[-1] >= size:
            raise _DamagedError(f"{what} indices out of order, or beyond the {size} there are")
    kinds, amounts, starts = gens["kind"].tolist(), gens["amount"].tolist(), bags.tolist()

    def zones_of(first: int, last: int) -> tuple[Zone, ...]:
        shared: Zone = {}
        zones = []
        for bag in range(first, last):
            zone = dict(zip(kinds[starts[bag] : starts[bag + 1]], amounts[starts[bag] : starts[bag + 1]], strict=True))
            if link in zone:
                zone[link] &= 0xFFFF  # an index, so unsigned
                if zone[link] >= num_linked:
                    raise _DamagedError(f"a zone names entry {zone[link]} of a list of {num_linked}")
                zones.append({**shared, **zone})
            elif bag == first:
                shared = zone
        return tuple(zones)

    return tuple(zones_of(first, last) for first, last in zip(owners[:-1].tolist(), owners[1:].tolist(), strict=True))


def _covers(zone: Zone, key: int, velocity: int) -> bool:
    """Whether both ranges of the zone include this note."""
    for gen, value in ((Gen.KEY_RANGE, key), (Gen.VELOCITY_RANGE, velocity)):
        if gen in zone and not zone[gen] & 0xFF <= value <= zone[gen] >> 8 & 0xFF:
            return False
    return True
