"""IEMOCAP (Busso et al. 2008): acted dialogues in five sessions; four emotions, as SUPERB takes them.

Layout of the full release: `Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav` and
`Session1/dialog/EmoEvaluation/Ses01F_impro01.txt`, with lines like
`[6.2901 - 8.2357]<tab>Ses01F_impro01_F000<tab>neu<tab>[2.5, 2.5, 2.5]`.

As in s3prl's `downstream/emotion`: neu, hap (with exc, excited, joined to it), ang and sad, in this order; utterances
of other emotions are left out. 5,531 utterances in the full release. The folds are the sessions: hold out one, train on
four. Each session has two speakers of its own, who are the groups: the letter before the last number (`_F000`) is who
speaks; s3prl takes the first part of the name, which is who wore the markers.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector
from zoo.data.prepare.preparer import Found, Preparer

EMOTIONS = ("neu", "hap", "ang", "sad")
_JOINED = {"exc": "hap"}
_LINE = re.compile(r"\[[^\]]*\]\t(Ses\d\d[FM]_\w+_([FM])\d+)\t(\w+)\t")
_SESSIONS = (1, 2, 3, 4, 5)


def read_iemocap(root: Path, options: Mapping[str, str]) -> Found:
    """The utterances of the four emotions in all sessions that are there."""
    collector = Collector(AudioFiles(root, [f"Session{session}/sentences/wav" for session in _SESSIONS]))
    others = 0
    for session in _SESSIONS:
        for table in sorted((root / f"Session{session}" / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
            for line in _LINE.finditer(table.read_text(encoding="utf-8", errors="replace")):
                utterance, letter, emotion = line.groups()
                name = f"Session{session}/sentences/wav/{utterance.rsplit('_', 1)[0]}/{utterance}.wav"
                emotion = _JOINED.get(emotion, emotion)
                if emotion in EMOTIONS:
                    speaker = f"{utterance[:5]}{letter}"
                    collector.add(name, labels=(emotion,), fold=str(session), group=speaker)
                else:
                    others += collector.files.find(name) is not None
    absent = [f"Session{session}" for session in _SESSIONS if not (root / f"Session{session}").is_dir()]
    notes = [f"{others:,} utterances of other emotions are left out; excited counts as happy"]
    notes += [f"no {', '.join(absent)}: SUPERB's number is the mean over five sessions"] if absent else []
    labels = LabelTable(EMOTIONS, "single-label")
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels, tuple(notes))


IEMOCAP = Preparer(
    "iemocap",
    "IEMOCAP: 5,531 utterances, 4 emotions, 5 sessions as folds",
    "single-label",
    "https://sail.usc.edu/iemocap/ (on request)",
    "for research, by agreement",
    "Session1/ to Session5/, each with sentences/wav/ and dialog/EmoEvaluation/",
    tuple((f"Session{session}/dialog/EmoEvaluation",) for session in _SESSIONS),
    read_iemocap,
)
