"""The base of every section of a recipe, and the number types that sections share.

A config is frozen, refuses unknown keys, and is strict about types (`true` is no integer, `"3"` is no number); it
lives in the file of the class that it builds. Every size has an upper bound, so that `depth: 10**30` answers at once.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Config(BaseModel):
    """A frozen, strict part of a recipe. The text under a field is its documentation, and lands in the JSON Schema."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configs, of different kinds perhaps, are not equal, with both values."""
    ours, theirs = one.model_dump(mode="json"), other.model_dump(mode="json")
    return {
        field: (ours.get(field), theirs.get(field))
        for field in {**ours, **theirs}
        if ours.get(field) != theirs.get(field)
    }


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Size = Annotated[int, Field(ge=1, le=1_000_000)]
"""A count of at least one."""

Count = Annotated[int, Field(ge=0, le=10**12)]
"""A count that may be zero."""

Probability = Annotated[float, Field(ge=0.0, le=1.0)]

CountOrShare = Annotated[float, Field(ge=0, le=1_000_000)]
"""A count, or a share of the whole when below 1."""

SizePair = Annotated[tuple[Size, Size], BeforeValidator(_as_tuple)]
"""(freq, time), as everywhere."""
