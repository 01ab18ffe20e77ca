"""Pages and files for others name no folder of the machine that they were made on."""

import json
import re
from dataclasses import replace
from typing import Any

from zoo.proof.results import ProofResults, parsed

_PATH = re.compile(r"(?:file://|(?<![\w:/.…~-]))/(?:[\w.@+~-]+/)*[\w.@+~-]+|\b[A-Za-z]:\\[^\s'\"|]+")


def without_paths(text: str) -> str:
    """`DATA=/home/me/audio` as `DATA=…/audio`. Addresses of the web, and words with a stroke between, stay."""
    return _PATH.sub(lambda found: "…/" + re.split(r"[\\/]", found.group())[-1], text)


def for_others(results: ProofResults) -> ProofResults:
    """The results with no absolute path in any text; of folders outside of the proof's own nothing is left."""
    known = [replace(one, folder=_relative(one.folder)) for one in results.pretraining]
    values = _cleaned(replace(results, pretraining=tuple(known)).as_json())
    return parsed(json.dumps(values), "results")


def _relative(folder: str | None) -> str | None:
    is_inside = folder is not None and not _PATH.match(folder) and ".." not in folder.split("/")
    return folder if is_inside else None


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return without_paths(value)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value
