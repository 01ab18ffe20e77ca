"""The data sets that `zoo prepare` knows. A new one is a file with a `Preparer`, and a line here."""

from collections.abc import Mapping

from zoo.data.prepare.any_folder import FOLDER
from zoo.data.prepare.audioset import AUDIOSET
from zoo.data.prepare.esc50 import ESC10, ESC50
from zoo.data.prepare.fsd50k import FSD50K
from zoo.data.prepare.gtzan import GTZAN
from zoo.data.prepare.iemocap import IEMOCAP
from zoo.data.prepare.librispeech import LIBRISPEECH
from zoo.data.prepare.nsynth import NSYNTH
from zoo.data.prepare.openmic2018 import OPENMIC2018
from zoo.data.prepare.preparer import Preparer
from zoo.data.prepare.speech_commands import SPEECH_COMMANDS_V1, SPEECH_COMMANDS_V2
from zoo.data.prepare.urbansound8k import URBANSOUND8K
from zoo.data.prepare.voxceleb1 import VOXCELEB1
from zoo.data.problems import did_you_mean
from zoo.errors import DataError

PREPARERS: Mapping[str, Preparer] = {
    preparer.name: preparer
    for preparer in (
        *(ESC50, ESC10, SPEECH_COMMANDS_V1, SPEECH_COMMANDS_V2, AUDIOSET, FSD50K, OPENMIC2018, URBANSOUND8K),
        *(GTZAN, NSYNTH, LIBRISPEECH, VOXCELEB1, IEMOCAP, FOLDER),
    )
}


def find_preparer(name: str) -> Preparer:
    """The data set of this name; case and the signs between words do not matter.

    Raises: `DataError` - no such data set.
    """
    plain = {_plain(known): preparer for known, preparer in PREPARERS.items()}
    if _plain(name) not in plain:
        raise DataError(
            f"{name}: no known data set{did_you_mean(name.lower(), list(PREPARERS))} - "
            f"expected one of {', '.join(PREPARERS)} - any other audio is a folder: zoo prepare folder SOURCE"
        )
    return plain[_plain(name)]


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
