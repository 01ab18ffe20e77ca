"""pydantic's findings in plain words, at their line."""

from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, model_validator

from zoo.config import Config, CountOrShare, Size, SizePair
from zoo.errors import ShapeError
from zoo.recipe.plain_words import checked, fields_of
from zoo.recipe.strict_yaml import parse_document


class Source(Config):
    path: str
    fold: list[int] | None = None


class Big(Config):
    kind: Literal["big"] = "big"
    embed_dim: Size = 8
    num_heads: Size = 2
    patch_size: SizePair = (16, 16)
    share: CountOrShare = 0.5
    flag: bool = False
    workers: int | Literal["auto"] = "auto"
    name: Annotated[str, Field(min_length=2, max_length=5, pattern="^[a-z]+$")] = "abc"
    origin: Annotated[str, Field(min_length=1)] | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim ({self.embed_dim}) must be divisible by num_heads ({self.num_heads})")
        if self.embed_dim == 13:
            raise ShapeError("13 does not fit")
        if self.embed_dim == 14:
            raise ValueError("embed_dim: found 14 - expected luck; share: found any; with luck - change it")
        return self


class Small(Config):
    kind: Literal["small", "tiny"]
    depth: Size


Model = Annotated[Big | Small, Field(discriminator="kind")]


class Top(Config):
    model: Model = Big()
    data: Source | list[Source] | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    task: Literal["single-label", "multi-label"] | None = None


def told(text: str, **elsewhere: str) -> list[str]:
    document = parse_document(text, "x.yaml")
    value = checked(Top, document, (), elsewhere)
    assert (value is None) == bool(document.problems)
    return document.messages()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("embed_dim: '3'", "embed_dim: expected an integer, got '3' - write it without quotes"),
        ("embed_dim: 1e3", "embed_dim: expected an integer, got 1000.0 - write 1000"),
        ("embed_dim: 1.5", "embed_dim: expected an integer, got 1.5"),
        ("embed_dim: 010", "embed_dim: expected an integer, got '010' - write 10"),
        ("embed_dim: 1_000", "embed_dim: expected an integer, got '1_000' - write 1000"),
        ("embed_dim: 1:30", "embed_dim: expected an integer, got '1:30'"),
        ("embed_dim: true", "embed_dim: expected an integer, got true"),
        ("embed_dim: null", "embed_dim: expected an integer, got null"),
        ("embed_dim: [1]", "embed_dim: expected an integer, got a list"),
        ("embed_dim: 0", "embed_dim: must be >= 1, got 0"),
        (f"embed_dim: {10**30}", f"embed_dim: must be <= 1000000, got {10**30}"),
        ("share: x", "share: expected a number, got 'x'"),
        ("share: true", "share: expected a number, got true"),
        ("share: -1", "share: must be >= 0, got -1"),
        ("flag: yes", "flag: expected true or false, got 'yes' - write true"),
        ("flag: Off", "flag: expected true or false, got 'Off' - write false"),
        ("flag: 1", "flag: expected true or false, got 1"),
        ("patch_size: 16", "patch_size: expected a list, got 16"),
        ("patch_size: [16]", "patch_size: must have 2 items, got 1"),
        ("patch_size: []", "patch_size: must have 2 items, got 0"),
        ("patch_size: [16, 16, 16]", "patch_size: must have at most 2 items, got 3"),
        ("patch_size: [16, x]", "patch_size[1]: expected an integer, got 'x'"),
        ("workers: Auto", "workers: expected an integer or 'auto', got 'Auto'; did you mean 'auto'?"),
        ("workers: 1.5", "workers: expected an integer or 'auto', got 1.5"),
        ("name: 3", "name: expected text, got 3 - write it in quotes"),
        ("name: a", "name: must have at least 2 characters, got 'a'"),
        ("name: abcdef", "name: must have at most 5 characters, got 'abcdef'"),
        ("name: AB", "name: must match the pattern '^[a-z]+$', got 'AB'"),
        ("from: ''", "from: must have at least 1 character, got ''"),
        (f"name: {'x' * 99}", f"name: must have at most 5 characters, got '{'x' * 57}...'"),
    ],
)
def test_one_value(value: str, text: str) -> None:
    assert told(f"model:\n  kind: big\n  {value}\n") == [f"x.yaml:3: model.{text}"]


def test_values_that_fit_are_converted_strictly() -> None:
    text = "model: {kind: big, patch_size: [8, 4], share: 3, from: a}\ndata: [{path: x, fold: [1]}, {path: y}]\n"
    document = parse_document(text, "x.yaml")
    top = checked(Top, document, ())
    assert top.model.patch_size == (8, 4)
    assert top.model.origin == "a"
    assert isinstance(top.model.share, float)
    assert [source.path for source in top.data] == ["x", "y"]


def test_unknown_keys_are_named_with_what_is_known() -> None:
    known = "kind, embed_dim, num_heads, patch_size, share, flag, workers, name, from"
    assert told("model:\n  kind: big\n  embed_dims: 3\n") == [
        f"x.yaml:3: model.embed_dims: unknown key; did you mean 'embed_dim'? Known: {known}"
    ]
    assert told("model: {kind: tiny, depth: 1, zzz: 3}\n") == ["x.yaml:1: model.zzz: unknown key. Known: kind, depth"]
    assert told("model: {kind: tiny, depth: 1, lr: 3}\n", lr="optim.lr") == [
        "x.yaml:1: model.lr: unknown key; did you mean 'optim.lr'? Known: kind, depth"
    ]
    # The name of the attribute behind an alias is no key.
    assert told("model: {kind: big, origin: x}\n") == [f"x.yaml:1: model.origin: unknown key. Known: {known}"]


def test_kinds() -> None:
    assert told("model:\n  kind: bigg\n") == [
        "x.yaml:2: model.kind: unknown kind 'bigg'; did you mean 'big'? Known: big, small, tiny"
    ]
    assert told("model:\n  kind: 3\n") == ["x.yaml:2: model.kind: unknown kind '3'. Known: big, small, tiny"]
    assert told("\nmodel:\n  embed_dim: 3\n") == [
        "x.yaml:2: model.kind: required key is missing. Known: big, small, tiny"
    ]
    assert told("model: 3") == ["x.yaml:1: model: expected keys with values, got 3"]


def test_a_missing_key_is_at_its_section() -> None:
    assert told("\n\nmodel:\n  kind: small\n") == ["x.yaml:3: model.depth: required key is missing"]
    assert told("data:\n  - path: x\n  - fold: [1]\n") == ["x.yaml:3: data[1].path: required key is missing"]


def test_branches_of_a_union_are_one_mistake() -> None:
    assert told("data: 5") == ["x.yaml:1: data: expected keys with values or a list, got 5"]
    assert told("data: {path: 5}") == ["x.yaml:1: data.path: expected text, got 5 - write it in quotes"]
    assert told("data:\n- path: a\n- 5\n") == ["x.yaml:3: data[1]: expected keys with values, got 5"]
    assert told("data: {pth: a}") == [
        "x.yaml:1: data.path: required key is missing",
        "x.yaml:1: data.pth: unknown key; did you mean 'path'? Known: path, fold",
    ]
    assert told("task: single_label") == [
        "x.yaml:1: task: expected 'single-label' or 'multi-label', got 'single_label'; did you mean 'single-label'?"
    ]
    assert told("columns: {a: 1, b: [x]}") == [
        "x.yaml:1: columns.a: expected text, got 1 - write it in quotes",
        "x.yaml:1: columns.b: expected text, got a list",
    ]


def test_a_config_s_own_rules_are_at_the_key_they_name() -> None:
    assert told("model:\n  kind: big\n  num_heads: 3\n  embed_dim: 8\n") == [
        "x.yaml:4: model.embed_dim: embed_dim (8) must be divisible by num_heads (3)"
    ]
    assert told("model:\n  kind: big\n  embed_dim: 14\n  share: 1\n") == [
        "x.yaml:3: model.embed_dim: found 14 - expected luck",
        "x.yaml:4: model.share: found any; with luck - change it",
    ]
    assert told("model:\n  kind: big\n  num_heads: 13\n  embed_dim: 13\n") == ["x.yaml:1: 13 does not fit"]


def test_everything_at_once_in_the_order_of_the_text() -> None:
    text = "task: x\nmodel:\n  kind: big\n  flag: on\n  depth: 3\n  embed_dim: 0\ncolumns: []\nmore: 1\n"
    assert [line.split(": ")[:2] for line in told(text)] == [
        ["x.yaml:1", "task"],
        ["x.yaml:4", "model.flag"],
        ["x.yaml:5", "model.depth"],
        ["x.yaml:6", "model.embed_dim"],
        ["x.yaml:7", "columns"],
        ["x.yaml:8", "more"],
    ]


def test_what_could_not_be_read_is_told_once() -> None:
    assert len(told("model: {kind: big, share: .nan}")) == 1


def test_fields_of_a_union() -> None:
    assert [*fields_of(Model, {"kind": "tiny"})] == ["kind", "depth"]
    everything: dict[str, Any] = fields_of(Model | None)
    assert {"depth", "embed_dim", "from"} <= set(everything)
    assert fields_of(str) == {}
