"""`zoo convert`: what a user types, as keywords of `zoo.weights.export.convert`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import RecipeError
from zoo.recipe.strict_yaml import parse_value
from zoo.weights.export import convert

_OWN = "own."


def convert_checkpoint(
    source: str, out: Path, overrides: Sequence[str], to: str = "zoo", bare: bool = False
) -> dict[str, Any]:
    """Writes a checkpoint in another format or geometry; see `zoo.weights.export.convert`.

    Args:
        overrides: KEY=VALUE, as in n_frames=512, stride=[10,10], positions=resample, own.num_heads=3.

    Raises:
        RecipeError: a pair that cannot be read; one line for each.
        CheckpointError: see there.
    """
    return convert(source, out, to, parse_pairs(overrides), bare)


def parse_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE as keywords of `zoo.load`; what begins with `own.` is put into `own`. Raises RecipeError."""
    given: dict[str, Any] = {}
    own: dict[str, Any] = {}
    problems = []
    for pair in pairs:
        key, equals, text = (part.strip() for part in pair.partition("="))
        place, name = (own, key.removeprefix(_OWN)) if key.startswith(_OWN) else (given, key)
        if not equals or not text or not name.isidentifier():
            problems.append(f"convert: found {pair!r} - expected KEY=VALUE, as in n_frames=512 or own.num_heads=3")
        elif name in place:
            problems.append(f"convert: {key}: found it twice - expected one value - leave one out")
        else:
            try:
                place[name] = parse_value(text)
            except ValueError as error:
                problems.append(f"convert: {key}: {' '.join(str(error).split())}")
    if problems:
        raise RecipeError("\n".join(problems))
    return {**given, "own": own} if own else given
