"""One thing that an audit found, and all the kinds of things there are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first."""

KINDS: Mapping[str, tuple[Severity, str]] = {
    "unreadable": ("error", "no audio can be had from the file"),
    "leak": ("error", "the same samples on two sides of a split"),
    "near-leak": ("error", "the same recording on two sides of a split"),
    "stretch-leak": ("error", "stretches of one file that overlap, on two sides of a split"),
    "unknown-label": ("error", "a label that is not in the label table"),
    "truncated": ("warning", "the file holds less than it promises"),
    "short-stretch": ("warning", "the clip's stop lies beyond the end of the file"),
    "silent": ("warning", "no sound at all"),
    "quiet": ("warning", "nothing above -60 dB of full scale"),
    "clipped": ("warning", "samples stand at full scale"),
    "dc-offset": ("warning", "the samples have a mean that is not 0"),
    "no-frame": ("warning", "shorter than one frame of the front end"),
    "odd-rate": ("warning", "a sampling rate that no recorder uses"),
    "many-channels": ("warning", "more than two channels, which are averaged"),
    "other-rate": ("warning", "the same samples under two sampling rates: one of them is wrong"),
    "duplicate": ("warning", "the same samples twice, on one side"),
    "near-duplicate": ("warning", "the same recording twice, on one side"),
    "same-stretch": ("warning", "stretches of one file that overlap, on one side"),
    "shared-file": ("warning", "stretches of one file on two sides of a split"),
    "shared-group": ("warning", "clips of one group on two sides of a split"),
    "conflicting-labels": ("warning", "the same sound with other labels"),
    "no-label": ("warning", "a clip without a label among clips with labels"),
    "no-labels": ("warning", "read without labels"),
    "twin-labels": ("warning", "labels that differ in case, blanks, marks or accents alone"),
    "rare-label": ("warning", "a label with fewer than two clips"),
    "absent-label": ("warning", "a label that one side does not have"),
    "near-labels": ("note", "labels that differ in one letter: one of them may be a slip"),
    "unused-label": ("note", "a label of the table that no clip has"),
    "telling-format": ("note", "the rate, channels or coding of a file tells its label"),
    "no-patch": ("note", "shorter than one patch of 16 frames"),
    "narrow": ("note", "a sampling rate below the front end's: the upper bands stay empty"),
    "mostly-silent": ("note", "more than half is silence before or after the sound"),
    "beyond-full-scale": ("note", "samples above twice full scale"),
    "very-long": ("note", "only the beginning is compared with other clips"),
    "steady-tone": ("note", "the same steady tone: whether it is one recording cannot be told"),
}
"""Each kind with its severity and what it means. An error spoils a result or stops training; a note may be meant."""


@dataclass(frozen=True)
class Finding:
    """One finding. `where` is the line of the manifest; `data` has the numbers."""

    kind: str
    where: str
    text: str
    clip: str | None = None
    """The id of the clip."""
    other: str | None = None
    """The line of the clip that this one is compared with."""
    other_clip: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind][0]

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not there is left out."""
        fields = {key: value for key, value in asdict(self).items() if value not in (None, {})}
        return {"severity": self.severity, **fields}


def in_order(findings: list[Finding]) -> list[Finding]:
    """The worst first, then by kind; within a kind in the order in which they were found, which is the manifest's."""
    places = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), places[one.kind]))
