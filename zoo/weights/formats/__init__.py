"""Every foreign format. A file is read by the one that knows most of its names; see `recognise`."""

from collections.abc import Collection

from zoo.weights.formats.format import Format
from zoo.weights.formats.hugging_face import HuggingFace
from zoo.weights.formats.image import Image, TorchvisionImage
from zoo.weights.formats.official_ast import OfficialAst
from zoo.weights.formats.official_passt import OfficialPasst
from zoo.weights.formats.official_ssast import OfficialSsast
from zoo.weights.formats.torch_only_ast import TorchOnlyAst

FORMATS: tuple[Format, ...] = (
    OfficialAst(),
    OfficialSsast(),
    OfficialPasst(),
    HuggingFace(),
    Image(),
    TorchvisionImage(),
    TorchOnlyAst(),
)


def recognise(keys: Collection[str]) -> tuple[Format, int]:
    """The format that knows most of these names, and how many it knows. The first listed wins a draw."""
    return max(((one, one.knows(keys)) for one in FORMATS), key=lambda found: found[1])
