"""Every model family and preset by name. A family registers itself; nothing here knows any of them."""

import difflib
import functools
import operator
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo
from torch import nn

from zoo.config import Config
from zoo.errors import RecipeError

NumClasses = Annotated[int, Field(ge=0, le=100_000)]


class ModelConfig(Config):
    """What every family has in common. A subclass adds `kind: Literal[...]`, its numbers, and `build`."""

    kind: str
    num_classes: NumClasses = 527
    """Outputs of the head; 527 are AudioSet's. 0 builds without a head, and `forward` returns the features."""
    n_mels: Annotated[int, Field(ge=1, le=4096)] = 128
    """Mel bands of the input; any other number is a ShapeError."""
    n_frames: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    """Frames of the longest input (1024 are 10.2 s at a hop of 10 ms): the size of the position tables."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The model with fresh weights: `(B, n_mels, T)` to logits. It keeps this config as `.config`."""

    def build_pretraining(self) -> nn.Module:
        """The model of the family's self-supervised task, which owns what `build` makes as `.backbone`.

        Raises:
            RecipeError: the family has none, or the numbers do not fit the task.
        """
        raise RecipeError(
            f"model.kind: found {self.kind!r}, which has no pretraining of its own - "
            "expected a masked-patch family such as 'ssast' - choose an ssast preset, or build without pretraining"
        )

    @property
    @abstractmethod
    def min_frames(self) -> int:
        """Frames of the shortest clip that leaves the model something to see; shorter clips are padded up to it."""

    def problems(self) -> Iterator[str]:
        """The contradictions between fields, one text each. Subclasses add theirs to those of their base."""
        yield from ()

    @model_validator(mode="after")
    def _no_problems(self) -> "ModelConfig":
        found = list(self.problems())
        if found:
            raise ValueError("; ".join(found))
        return self


_kinds: dict[str, type[ModelConfig]] = {}
_presets: dict[str, ModelConfig] = {}

C = TypeVar("C", bound=ModelConfig)


def register(presets: Mapping[str, Mapping[str, Any]]) -> Callable[[type[C]], type[C]]:
    """Class decorator: makes a config class known by its `kind`, together with its named presets.

    Args:
        presets: for each name the fields that differ from the class's defaults; empty for the defaults themselves.
    """

    def add(config_class: type[C]) -> type[C]:
        kind = config_class.model_fields["kind"].default
        for name, known in [(kind, _kinds.get(kind)), *((preset, _presets.get(preset)) for preset in presets)]:
            if known is not None:
                other = known if isinstance(known, type) else type(known)
                raise ValueError(
                    f"{name!r} is registered twice: in {other.__module__} and in {config_class.__module__}"
                )
        _kinds[kind] = config_class
        _presets.update({name: config_class(**fields) for name, fields in presets.items()})
        return config_class

    return add


def presets() -> dict[str, ModelConfig]:
    """Every preset by name, in the order in which the families are listed."""
    return dict(_presets)


def model_config_union() -> Any:
    """The type of a recipe's `model` section: the union of all families, told apart by `kind`."""
    return Annotated[functools.reduce(operator.or_, _kinds.values()), Field(discriminator="kind")]


def parse_model_config(fields: Mapping[str, Any]) -> ModelConfig:
    """A config from plain values, as a recipe or a checkpoint's `config.json` has them. Raises pydantic's error."""
    adapter: TypeAdapter[ModelConfig] = TypeAdapter(model_config_union())
    return adapter.validate_python(dict(fields))


def config_fields(kind: str) -> tuple[str, ...]:
    """The names of a kind's fields. Raises RecipeError for an unknown kind."""
    if kind not in _kinds:
        raise RecipeError(f"kind: found {kind!r} - expected one of {', '.join(_kinds)}{_near(str(kind), _kinds)}")
    return tuple(_kinds[kind].model_fields)


def in_words(error: ValidationError) -> str:
    """What `parse_model_config` found wrong first: "where: found - expected"."""
    first = error.errors()[0]
    if first["type"] == "value_error":  # the contradictions of `problems` are complete texts already
        return str(first["ctx"]["error"])
    kind, *rest = first["loc"] or ("",)
    where = ".".join(str(part) for part in rest) or str(kind)
    if first["type"] == "extra_forbidden" and kind in _kinds:
        fields = _kinds[str(kind)].model_fields
        return f"found {where!r}, which is no field of kind {kind!r} - expected one of {', '.join(fields)}"
    return f"{where}: found {first['input']!r} - expected: {first['msg']}"


def check_values(where: str, fields: Mapping[str, Any]) -> None:
    """Raises RecipeError for a value that no family takes in a field of that name; unknown names pass."""
    for key, value in fields.items():
        infos = [family.model_fields[key] for family in _kinds.values() if key in family.model_fields]
        problems = [_problem(info, value) for info in infos]
        if problems and all(problems):
            raise RecipeError(f"{where}: {key}: found {value!r} - expected: {problems[-1]}")


def _problem(info: FieldInfo, value: Any) -> str | None:
    """Why a field does not take a value; None when it does."""
    kind_of_value: Any = Annotated[info.annotation, info]
    try:
        TypeAdapter(kind_of_value, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    return None


def preset_config(name: str, **overrides: Any) -> ModelConfig:
    """The config of a preset with some fields replaced.

    Raises:
        RecipeError: no such preset or field, a value that does not fit; every problem on a line of its own.
    """
    preset = _presets.get(name)
    if preset is None:
        raise RecipeError(f"preset: found {name!r} - expected one of {', '.join(_presets)}{_near(name, _presets)}")
    fields = type(preset).model_fields
    problems = [
        f"{name}: unknown field {key!r} - expected one of {', '.join(fields)}{_near(key, fields)}"
        for key in overrides
        if key not in fields
    ]
    known = {key: value for key, value in overrides.items() if key in fields}
    try:
        config = type(preset).model_validate({**preset.model_dump(), **known})
    except ValidationError as error:
        problems += [_one_line(name, found) for found in error.errors()]
    if problems:
        raise RecipeError("\n".join(problems))
    return config


def build_model(config: ModelConfig, *, pretraining: bool = False) -> nn.Module:
    """The model of a config with fresh weights, or the pretraining model around it."""
    return config.build_pretraining() if pretraining else config.build()


def build(name: str, *, pretraining: bool = False, **overrides: Any) -> nn.Module:
    """A model with fresh weights, by the name of its preset.

    Example: `build("ast-base", num_classes=50, n_frames=512)`.

    Args:
        name: one of `zoo.models()`.
        pretraining: True gives the model of the self-supervised task, whose `.backbone` is the fine-tuning model.
        overrides: any field of the preset's config.

    Raises:
        RecipeError: an unknown name or field, or numbers that contradict each other.
    """
    return build_model(preset_config(name, **overrides), pretraining=pretraining)


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _one_line(name: str, error: Any) -> str:
    """A pydantic error as "where: found - expected". The contradictions of `problems` are complete texts already."""
    if error["type"] == "value_error" and not error["loc"]:
        return f"{name}: {error['ctx']['error']}"
    where = ".".join(str(part) for part in error["loc"])
    return f"{name}: {where}: found {error['input']!r} - expected: {error['msg']}"
