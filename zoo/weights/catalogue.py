"""The published checkpoints by name: where each lies, whose model it is, and what is known about it.

The facts are in `checkpoints/catalogue.yaml`; a field that nobody has stated is None. Nothing here touches the network:
`zoo.weights.download` fetches.
"""

import difflib
import functools
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from zoo.config import Config
from zoo.errors import CheckpointError

_VALUE_BYTES = 4
_OVERHEAD_BYTES = 3_000_000  # names, shapes and alignment: 50 kB in a released PaSST, more in the old format

Address = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
Texts = Annotated[tuple[str, ...], Field(strict=False)]  # YAML has lists
Addresses = Annotated[tuple[Address, ...], Field(strict=False)]


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


class Metric(Config):
    """A published result."""

    name: str
    value: float
    on: str
    """The data; "fine-tuned" is said where the file itself was trained on something else."""


class Known(Config):
    """One published checkpoint."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    family: Literal["ast", "ssast", "passt", "deit"]
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Its name in the cache, as its authors named it."""
    url: Address
    mirrors: Addresses = ()
    """Other addresses of the file, tried in turn."""
    pages: Addresses = ()
    """Pages where a person with a browser gets it."""
    aliases: Texts = ()
    """Names that the authors' own code has for it; `find` takes them too."""
    also: dict[str, str] = Field(default_factory=dict)
    """The same weights in another format, by whose format it is."""
    licence: str | None = None
    licence_note: str | None = None
    own: Annotated[dict[str, Any], AfterValidator(_with_tuples)]
    """Fields of a model config: the geometry of the file, which its keys do not tell."""
    pretraining: bool = False
    """Whether it has the heads of masked-patch pretraining."""
    front_end: dict[str, Any] | None = None
    """The config of the front end that it was trained behind; None for image models."""
    task: Literal["single-label", "multi-label"] | None = None
    """What its classifier was trained for; None when it has none that a model here would use."""
    labels: Texts | None = None
    """Names of the classes, in order."""
    metric: Metric | None = None
    values: int | None = Field(default=None, ge=1)
    """Numbers in its tensors, those that nothing reads included."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{8,64}$")
    """The first digits of the file's SHA-256, as far as they are published."""
    note: str | None = None

    @property
    def size_range(self) -> tuple[int, int] | None:
        """Fewest and most bytes of a whole file: 4 for each value, and little beside them. None: not known."""
        if self.values is None:
            return None
        return self.values * _VALUE_BYTES, self.values * _VALUE_BYTES + _OVERHEAD_BYTES


def catalogue() -> dict[str, Known]:
    """Every published checkpoint by name, in the order of the file. Raises CheckpointError when the file is wrong."""
    return dict(_read(_catalogue_file()))


def checkpoints() -> list[str]:
    """The names of all published checkpoints, for `zoo.load`."""
    return list(catalogue())


def find(name: str) -> Known:
    """The checkpoint of this name, or of this name in its authors' code.

    Raises:
        CheckpointError: there is none; names the nearest.
    """
    known = catalogue()
    found = known.get(name) or _by_alias().get(name)
    if found is None:
        close = near(name)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise CheckpointError(
            f"checkpoint: found {name[:200]!r}, which is no known name - expected one of the {len(known)} of the "
            f"catalogue - {hint}`zoo checkpoints` lists them"
        )
    return found


def near(name: str) -> list[str]:
    """Known names that look like this one, the likeliest first."""
    return difflib.get_close_matches(name[:200], [*catalogue(), *_by_alias()], n=3, cutoff=0.5)


def _by_alias() -> dict[str, Known]:
    return {alias: entry for entry in catalogue().values() for alias in entry.aliases}


def _catalogue_file() -> Path:
    """Inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "checkpoints" / "catalogue.yaml"
    return inside if inside.is_file() else package.parent / "checkpoints" / "catalogue.yaml"


@functools.cache
def _read(path: Path) -> dict[str, Known]:
    try:
        entries = TypeAdapter(list[Known]).validate_python(yaml.safe_load(path.read_text("utf-8"))["checkpoints"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        why = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}: not readable ({why}) - expected the list 'checkpoints' - install again"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"{path}: checkpoints.{where}: found {first['input']!r} - expected: {first['msg']} - mend the entry"
        ) from None
    names = [name for entry in entries for name in (entry.name, *entry.aliases)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CheckpointError(f"{path}: found {', '.join(twice)} twice - expected every name once - rename one")
    return {entry.name: entry for entry in entries}
