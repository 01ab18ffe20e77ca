"""Values of a document checked against a config class, with pydantic's findings told in plain words.

pydantic finds every mistake of a section in one pass but speaks to programmers (`Input should be a valid integer`,
one entry for each branch of a union). Here a mistake is what was expected, what was found and, where it can be
guessed, what was meant; it is reported at its key in the document.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from zoo.errors import ZooError
from zoo.recipe.document import Document, KeyPath, did_you_mean, key_text, shortened
from zoo.recipe.strict_yaml import plain_value

Finding = Mapping[str, Any]
"""One of `ValidationError.errors()`."""


def checked(expected: Any, document: Document, path: KeyPath, elsewhere: Mapping[str, str] | None = None) -> Any:
    """The value at `path` as the type `expected`; None when it does not fit, with every reason reported.

    Args:
        expected: a config class, or anything else that pydantic takes as an annotation.
        elsewhere: for keys that belong in other places, the full key: an unknown `lr` may be meant as `optim.lr`.
    """
    value = document.at(path)
    own = key_text(path) + "."
    elsewhere = {key: full for key, full in (elsewhere or {}).items() if not full.startswith(own)}
    found = Document(document.where, lines=document.lines)
    try:
        # Through JSON, for there a list is the strict form of a tuple.
        return TypeAdapter(expected).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        for inner, text in _told(expected, value, error.errors(include_url=False), elsewhere):
            found.report((*path, *inner), text)
    except ZooError as error:
        found.report(path, str(error))
    # What could not be read is null here, and reported already.
    reported = {(problem.line, problem.key) for problem in document.problems}
    document.problems += [problem for problem in found.problems if (problem.line, problem.key) not in reported]
    return None


def fields_of(expected: Any, value: Any = None) -> dict[str, Any]:
    """Key to annotation, over the config classes in an annotation; of one class alone if `value` has its `kind`."""
    kind = value.get("kind") if isinstance(value, dict) else None
    models = [model for model in _models(expected) if kind in _kinds(model)] or _models(expected)
    return {field.alias or name: field.annotation for model in models for name, field in model.model_fields.items()}


def _models(expected: Any) -> list[type[BaseModel]]:
    if isinstance(expected, type) and issubclass(expected, BaseModel):
        return [expected]
    return [model for part in get_args(expected) for model in _models(part)]


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _type_at(expected: Any, value: Any, path: KeyPath) -> Any:
    """The annotation of what is at `path`, as far as it is inside config classes."""
    for part in path:
        if isinstance(part, str):
            expected = fields_of(expected, value).get(part)
        value = value[part]
    return expected


def _told(
    expected: Any, value: Any, findings: list[Any], elsewhere: Mapping[str, str]
) -> Iterator[tuple[KeyPath, str]]:
    """Path and text of every mistake. Findings about one value (the branches of a union) become one text."""
    groups: dict[KeyPath, list[Finding]] = {}
    in_branch: set[KeyPath] = set()
    for finding in findings:
        path, is_in_branch = _path_in(value, finding["loc"], finding["type"])
        groups.setdefault(path, []).append(finding)
        if is_in_branch:
            in_branch.add(path)
    for path, group in groups.items():
        if path in in_branch and any(other[: len(path)] == path for other in groups if other != path):
            continue  # another branch of the union fits outwardly, and its complaints are the ones that help
        if group[0]["type"] == "too_short" and any(other[: len(path)] == path for other in groups if other != path):
            continue  # pydantic does not count the items that it has refused
        finding = next((one for one in group if one["type"] not in {*_EXPECTED, "literal_error"}), group[0])
        kind, context = finding["type"], finding.get("ctx", {})
        if kind == "extra_forbidden":
            around = _type_at(expected, value, path[:-1])
            yield path, _unknown_key(str(path[-1]), fields_of(around, _value_at(value, path[:-1])), elsewhere)
        elif kind == "missing":
            indices = [one["loc"][-1] for one in group if isinstance(one["loc"][-1], int)]
            too_few = f"must have {max(indices) + 1} items, got {min(indices)}" if indices else ""  # a tuple
            yield path, too_few or "required key is missing"
        elif kind in ("union_tag_invalid", "union_tag_not_found"):
            known = [name for model in _models(_type_at(expected, value, path)) for name in _kinds(model)]
            yield (*path, "kind"), _unknown_kind(context.get("tag"), known)
        elif kind in ("value_error", "assertion_error"):
            fields = fields_of(_type_at(expected, value, path), _value_at(value, path))
            yield from _told_by_config(path, str(context["error"]), fields)
        elif kind in _BOUNDS:
            name, text = _BOUNDS[kind]
            size = context.get("actual_length")
            limit = context[name]
            limit = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
            bound = text.format(_shown(limit), "" if limit == 1 else "s")
            yield path, f"{bound}, got {_shown(finding['input']) if size is None else size}"
        elif path[-1:] == ("kind",) and kind == "literal_error":
            yield path, _unknown_kind(finding["input"], _choices(finding))
        elif kind in _EXPECTED or kind == "literal_error":
            yield path, _unfitting(group)
        else:
            yield path, f"{finding['msg']}, got {_shown(finding['input'])}"


def _value_at(value: Any, path: KeyPath) -> Any:
    for part in path:
        value = value[part]
    return value


def _path_in(value: Any, loc: tuple[int | str, ...], kind: str) -> tuple[KeyPath, bool]:
    """pydantic's location without what is no key (tags and names of union branches); and whether it had such."""
    path: list[int | str] = []
    is_in_branch = False
    for i, part in enumerate(loc):
        is_missing = kind == "missing" and i == len(loc) - 1
        is_here = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
        if is_missing and isinstance(part, int):
            break  # a tuple is told as a whole
        if is_missing or is_here:
            path.append(part)
            value = None if is_missing else value[part]
        else:
            is_in_branch = True
    return tuple(path), is_in_branch


_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "none_required": "null",
}
_BOUNDS = {
    "greater_than": ("gt", "must be > {}"),
    "greater_than_equal": ("ge", "must be >= {}"),
    "less_than": ("lt", "must be < {}"),
    "less_than_equal": ("le", "must be <= {}"),
    "multiple_of": ("multiple_of", "must be a multiple of {}"),
    "string_too_short": ("min_length", "must have at least {} character{}"),
    "string_too_long": ("max_length", "must have at most {} character{}"),
    "string_pattern_mismatch": ("pattern", "must match the pattern {}"),
    "too_short": ("min_length", "must have at least {} item{}"),
    "too_long": ("max_length", "must have at most {} item{}"),
}


def _unknown_key(name: str, known: Mapping[str, Any], elsewhere: Mapping[str, str]) -> str:
    hint = did_you_mean(name, known) or (f"; did you mean '{elsewhere[name]}'?" if name in elsewhere else ".")
    return f"unknown key{hint} Known: {', '.join(known)}"


def _unknown_kind(found: Any, known: list[str]) -> str:
    if found is None:
        return f"required key is missing. Known: {', '.join(known)}"
    return f"unknown kind {_shown(found)}{did_you_mean(str(found), known) or '.'} Known: {', '.join(known)}"


def _told_by_config(path: KeyPath, text: str, fields: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """A config's own rules name the field first (`embed_dim: found 100 ...`); several are joined by `; `."""
    names = "|".join(map(re.escape, fields)) or "(?!)"
    for one in re.split(rf"; (?=(?:{names}): )", " ".join(text.split())):
        match = re.match(rf"({names})(: |\b)", one)
        if match is None:
            yield path, one
        else:
            yield (*path, match[1]), one[match.end() :] if match[2] else one


def _unfitting(group: list[Finding]) -> str:
    value = group[0]["input"]
    wanted = [_EXPECTED.get(finding["type"]) or finding["ctx"]["expected"] for finding in group]
    choices = [choice for finding in group for choice in _choices(finding)]
    meant = did_you_mean(value, choices) if isinstance(value, str) else ""
    hint = meant or _hint(value, {*wanted})
    return f"expected {' or '.join(dict.fromkeys(wanted))}, got {_shown(value)}{hint}"


def _choices(finding: Finding) -> list[str]:
    """The words of a Literal, out of pydantic's `'a', 'b' or 'c'`."""
    return re.findall(r"'([^']*)'", finding.get("ctx", {}).get("expected", ""))


def _hint(value: Any, wanted: set[str]) -> str:
    """How to write what was probably meant."""
    wants_number = not wanted.isdisjoint({"an integer", "a number"})
    if isinstance(value, str):
        if "true or false" in wanted and value.lower() in ("yes", "on", "true", "no", "off", "false"):
            return f" - write {'true' if value.lower() in ('yes', 'on', 'true') else 'false'}"
        if "null" in wanted and value.lower() in ("none", "nil", "null"):
            return " - write null"
        # A number in quotes is text; so are 010 (octal elsewhere) and 1_000.
        bare = re.sub(r"^([-+]?)0+(?=\d)", r"\1", value.replace("_", ""))
        if wants_number and re.fullmatch(r"[-+.\deE]{1,40}", bare) and isinstance(plain_value(bare), int | float):
            return " - write it without quotes" if bare == value else f" - write {bare}"
    elif isinstance(value, float) and value.is_integer() and "an integer" in wanted and abs(value) < 1e15:
        return f" - write {int(value)}"
    elif isinstance(value, bool | int | float) and "text" in wanted:
        return " - write it in quotes"
    return ""


def _shown(value: Any) -> str:
    """A value as the recipe has it, on one short line."""
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return repr(shortened(value))
    return shortened(json.dumps(value, default=str))
