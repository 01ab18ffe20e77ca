"""`zoo convert`: what a user types, as keywords of `zoo.weights.export.convert`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import RecipeError
from zoo.recipe.strict_yaml import split_pair
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
    problems = []
    for pair in pairs:
        try:
            key, value = split_pair(pair, given, "n_frames=512 or own.num_heads=3")
        except ValueError as error:
            problems += [f"convert: {line}" for line in str(error).splitlines()]
        else:
            given[key] = value
    own = {key.removeprefix(_OWN): given.pop(key) for key in list(given) if key.startswith(_OWN)}
    if own and "own" in given:
        problems.append("convert: own: given as a whole and by its fields - keep one")
    if problems:
        raise RecipeError("\n".join(problems))
    return {**given, "own": own} if own else given
