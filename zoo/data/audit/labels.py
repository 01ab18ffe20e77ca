"""What is wrong with the labels of a set, and how the classes are spread over it."""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from zoo.data.audit.finding import Finding
from zoo.data.audit.listen import Heard
from zoo.data.audit.sides import Placed
from zoo.data.labels import LabelTable
from zoo.data.problems import did_you_mean, listed, printable

_COMPARED = 1_000  # names of which every two are compared
_LONG_ENOUGH = 5  # letters: "off" and "of" are two words
_TOLD = 100  # absent labels of one side, one by one
_TELLING = 0.15  # more clips whose label is right when it is guessed from the format, as a share of all


def check_labels(placed: Sequence[Placed], source: str, table: LabelTable | None = None) -> Iterator[Finding]:
    """The findings about labels; `source` is where the manifest as a whole is told. `table` is what they must be in."""
    counts = Counter(label for one in placed for label in one.clip.labels)
    for one in placed:
        if not one.clip.labels:
            yield Finding("no-label", one.clip.where, f"{printable(one.clip.id)}: no label", one.clip.id)
    if table is not None:
        yield from _against(table, placed, counts, source)
    yield from _spelt_alike(counts, source)
    for label, count in sorted(counts.items()):
        if count < 2:
            yield Finding("rare-label", source, f"{label!r} has {count} clip", data={"label": label, "clips": count})
    yield from _absent(placed, counts, source)


def _against(table: LabelTable, placed: Sequence[Placed], counts: Counter[str], source: str) -> Iterator[Finding]:
    known = {*table.names, *table.aliases}
    for one in placed:
        for label in one.clip.labels:
            if label not in known:
                text = (
                    f"{printable(one.clip.id)}: {label!r} is not in the table{did_you_mean(label, list(table.names))}"
                )
                yield Finding("unknown-label", one.clip.where, text, one.clip.id, data={"label": label})
    used = {table.aliases.get(label, label) for label in counts}
    for name in table.names:
        if name not in used:
            yield Finding("unused-label", source, f"no clip is {name!r}", data={"label": name})


def _spelt_alike(counts: Counter[str], source: str) -> Iterator[Finding]:
    plain: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        plain[_plain(label)].append(label)
    for labels in plain.values():
        if len(labels) > 1:
            shown = ", ".join(f"{label!r} ({counts[label]} clips)" for label in labels)
            yield Finding("twin-labels", source, f"{shown}: one class?", data={"labels": labels})
    words = sorted(plain)[:_COMPARED]
    for place, word in enumerate(words):
        for other in words[place + 1 :]:
            if _is_near(word, other):
                one, two = plain[word][0], plain[other][0]
                text = f"{one!r} ({counts[one]} clips) and {two!r} ({counts[two]} clips) differ in a letter"
                yield Finding("near-labels", source, text, data={"labels": [one, two]})


def _plain(label: str) -> str:
    """Letters and digits alone, small and without accents: what is left of "Café-Noise " is "cafenoise"."""
    apart = unicodedata.normalize("NFKD", label).casefold()
    return "".join(letter for letter in apart if letter.isalnum()) or label


def _is_near(one: str, other: str) -> bool:
    """Whether a letter was changed, put in, left out, or changed places with the next; digits are no slips."""
    if min(len(one), len(other)) < _LONG_ENOUGH or abs(len(one) - len(other)) > 1:
        return False
    if len(one) == len(other):
        apart = [place for place in range(len(one)) if one[place] != other[place]]
        if len(apart) == 2 and apart[1] == apart[0] + 1:
            return one[apart[0]] == other[apart[1]] and one[apart[1]] == other[apart[0]]
        return len(apart) == 1 and not (one[apart[0]].isdigit() or other[apart[0]].isdigit())
    short, long = sorted((one, other), key=len)
    return any(long[:place] + long[place + 1 :] == short and not long[place].isdigit() for place in range(len(long)))


def _absent(placed: Sequence[Placed], counts: Counter[str], source: str) -> Iterator[Finding]:
    """Labels that one side of a split does not have at all."""
    for split, sides in _by_side(placed).items():
        for side, members in sides.items():
            own = {label for one in members for label in one.clip.labels}
            absent = sorted(set(counts) - own)
            if not own:
                continue  # nothing is labelled there, which the clips tell
            for label in absent[:_TOLD]:
                text = f"no clip of {split} {side} is {label!r} ({counts[label]} clips elsewhere)"
                yield Finding("absent-label", source, text, data={split: side, "label": label})
            if len(absent) > _TOLD:
                text = f"{split} {side} lacks {len(absent):,} labels in all: {listed(absent, 3)}"
                yield Finding("absent-label", source, text, data={split: side, "labels": len(absent)})


def _by_side(placed: Sequence[Placed]) -> dict[str, dict[str, list[Placed]]]:
    """Split to side to clips, for every split that has two sides."""
    found: dict[str, dict[str, list[Placed]]] = defaultdict(lambda: defaultdict(list))
    for one in placed:
        for split, side in one.sides().items():
            found[split][side].append(one)
    return {split: dict(sides) for split, sides in found.items() if len(sides) > 1}


def class_balance(placed: Sequence[Placed], heard: Sequence[Heard]) -> dict[str, Any] | None:
    """Clips and hours of every label, over all and on every side; None without labels.

    `evenness` is the entropy of the labels over that of as many equal ones: 1 where all have the same number.
    """
    counts: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    for one, sound in zip(placed, heard, strict=True):
        for label in one.clip.labels:
            counts[label] += 1
            seconds[label] += sound.seconds
    if not counts:
        return None
    sides = {
        split: {side: Counter(label for one in members for label in one.clip.labels) for side, members in own.items()}
        for split, own in _by_side(placed).items()
    }
    total = counts.total()
    entropy = -sum(count / total * math.log(count / total) for count in counts.values())
    largest, smallest = max(counts.values()), min(counts.values())
    return {
        "labels": len(counts),
        "labels_a_clip": round(total / sum(bool(one.clip.labels) for one in placed), 3),
        "largest": largest,
        "smallest": smallest,
        "ratio": round(largest / smallest, 2),
        "evenness": round(entropy / math.log(len(counts)), 4) if len(counts) > 1 else 1.0,
        "classes": [
            {
                "label": label,
                "clips": count,
                "hours": round(seconds[label] / 3600, 4),
                "sides": {split: {side: own[label] for side, own in sorted(of.items())} for split, of in sides.items()},
            }
            for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ],
    }


def telling_formats(placed: Sequence[Placed], heard: Sequence[Heard], source: str) -> Iterator[Finding]:
    """Whether the label can be guessed from how a file is stored: a model may learn that and not the sound.

    The guess is the most frequent label of the clips stored alike, in percent of the clips with one label.
    """
    single = [
        (one.clip.labels[0], sound) for one, sound in zip(placed, heard, strict=True) if len(one.clip.labels) == 1
    ]
    single = [(label, sound) for label, sound in single if sound.reason is None]
    if not single:
        return
    always = max(Counter(label for label, _ in single).values()) / len(single)
    for what, of in (("sampling rate", "sample_rate"), ("number of channels", "channels"), ("coding", "format")):
        stored: dict[Any, Counter[str]] = defaultdict(Counter)
        for label, sound in single:
            stored[getattr(sound, of)][label] += 1
        guessed = sum(max(counts.values()) for counts in stored.values()) / len(single)
        if guessed - always >= _TELLING:
            text = (
                f"guessing the label from the {what} is right for {guessed:.0%} of the clips, without it {always:.0%}"
            )
            yield Finding("telling-format", source, text, data={"guessed": guessed, "always": always})
