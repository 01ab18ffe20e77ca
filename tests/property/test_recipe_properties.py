"""Recipes written and read back, and texts of every kind of wrong: nothing but located errors comes out."""

import json
import re
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from zoo.errors import RecipeError
from zoo.recipe import Recipe, dump_recipe, parse_recipe, recipe_differences, resolved
from zoo.recipe.strict_yaml import parse_document, parse_value, plain_value

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
filled = text.filter(bool)
tricky = st.sampled_from(
    ["no", "1e-4", "010", "null", "1:30", "~", "- a", "a: b", " x ", "#", "'", '"', "\n", "é", "🎵", "<<"]
)
number = st.floats(allow_nan=False, allow_infinity=False)
share_or_count = st.floats(0, 0.99) | st.integers(0, 1000)
VALID_NAME = re.compile(r"[^\W_][\w .()+-]{0,50}[^\W_]")


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of these keys."""
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def models(draw: st.DrawFn, kinds: tuple[str, ...]) -> dict[str, Any]:
    kind = draw(st.sampled_from(kinds))
    model: dict[str, Any] = {"kind": kind, "n_frames": draw(st.integers(64, 200))}
    if kind == "cnn":
        return model | draw(some(channels=st.lists(st.integers(1, 64), min_size=1, max_size=4)))
    heads = draw(st.sampled_from([1, 2, 4]))
    patch = draw(st.lists(st.integers(1, 32), min_size=2, max_size=2))
    model |= {"embed_dim": 4 * heads * draw(st.integers(1, 8)), "depth": draw(st.integers(1, 4)), "num_heads": heads}
    model |= {"patch_size": patch, "stride": patch}
    model |= draw(some(dropout=st.floats(0, 1), drop_path=st.floats(0, 1), mlp_ratio=st.floats(0.1, 8)))
    if kind == "ssast":
        model |= {"num_masked": draw(st.floats(0.01, 0.5)), "cluster_size": [1, draw(st.integers(1, 2))]}
    return model


source = filled | st.fixed_dictionaries(
    {"path": filled | tricky},
    optional={"fold": st.none() | st.lists(st.integers() | text, max_size=3), "split": st.none() | text},
)


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Any]:
    """The values of a valid recipe, with any part left out that may be."""
    pretraining = draw(st.booleans())
    model = draw(
        models(("ssast",) if pretraining else ("ast", "ssast", "passt", "cnn", "ast-minimal", "ast-sinusoidal"))
    )
    task = None if pretraining else draw(st.sampled_from(["single-label", "multi-label"]))
    data = draw(
        some(
            train=st.none() | source | st.lists(source, min_size=1, max_size=3),
            eval=st.none() | source,
            labels=st.none() | st.lists(filled | tricky, min_size=1, max_size=4, unique=True),
            columns=some(labels=text, fold=text),
            crop=st.sampled_from(["random", "start"]),
            padding=st.sampled_from(["masked", "as_source"]),
            max_bad_share=st.floats(0, 1),
            num_workers=st.none() | st.integers(0, 8),
        )
    )
    objective = draw(
        some(reconstruct_weight=st.floats(0.1, 100), temperature=st.floats(0.1, 100), normalise_targets=st.booleans())
        if pretraining
        else some(loss=st.sampled_from([None, "bce"]), label_smoothing=st.floats(0, 0.9))
    )
    mixup = st.fixed_dictionaries(
        {"probability": st.floats(0.001, 1), "alpha": st.floats(0.01, 1_000)},
        optional={"keep_larger": st.booleans(), "length": st.sampled_from(["longer", "first"])},
    )
    optional = some(
        seed=st.integers(0, 2**63 - 1),
        init=some(**{"from": st.none() | filled | tricky}),
        front_end=some(mean=number, std=st.floats(1e-3, 100), normalise=st.sampled_from(["dataset", "clip"])),
        augment=some(
            time_roll=st.integers(0, 50),
            freq_mask=st.integers(0, 127),
            time_mask=st.integers(0, 1000),
            gain_db=st.none() | st.lists(st.integers(-100, 100), min_size=2, max_size=2).map(sorted),
            noise_snr_db=st.none() | st.lists(st.floats(-100, 100), min_size=2, max_size=2).map(sorted),
            waveform_roll=st.integers(0, 10**7),
            waveform_mixup=st.none() | mixup,
            log_mel_noise=st.floats(0, 100),
            log_mel_mixup=st.none() | mixup,
        ),
        optim=some(
            lr=st.floats(1e-12, 10),
            weight_decay=st.floats(0, 10),
            betas=st.lists(st.floats(0, 0.999), min_size=2, max_size=2),
            grad_clip=st.none() | st.floats(1e-3, 1e3),
            kind=st.sampled_from(["adamw", "adam"]),
            decay=st.sampled_from(["matrices", "all"]),
            layer_decay=st.floats(1e-3, 1),
            head_lr_factor=st.floats(1e-3, 1e3),
            freeze=st.sampled_from(["none", "backbone"]) | st.integers(1, 10**6),
        ),
        schedule=some(warmup_clips=st.floats(0, 0.9), final_share=st.floats(0, 1))
        | st.fixed_dictionaries(
            {"kind": st.just("step"), "warmup_steps": st.just(0)},
            optional={"gamma": st.floats(1e-3, 1), "warmup_stair": st.none() | st.integers(1, 100)},
        )
        | st.fixed_dictionaries(
            {"kind": st.just("passt"), "warmup_epochs": st.just(0)},
            optional={"ramp_down_start": st.integers(0, 10**6), "final_share": st.floats(0, 1)},
        ),
        evaluate=some(every_clips=st.none() | st.integers(1, 10**12), batch_size=st.integers(1, 65536)),
        log=some(images=st.integers(0, 64), checkpoint_minutes=st.floats(0.1, 1000)),
    )
    length = draw(st.sampled_from(["epochs", "clips", "steps"]))
    return {
        "name": draw(st.from_regex(VALID_NAME, fullmatch=True)),
        "model": model,
        "data": data | {"task": task},
        "objective": {"kind": "masked-patch" if pretraining else "classification", **objective},
        "train": {length: draw(st.integers(1, 10**6)), "batch_size": draw(st.integers(1, 65536))},
        **draw(optional),
    }


def build(values: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate_json(json.dumps(values))
    except ValidationError as error:
        assume("num_masked" not in str(error))  # a share of a small grid that hides nothing
        raise


@settings(max_examples=60, deadline=None)
@given(recipes())
def test_a_recipe_reads_back_from_its_dump(values: dict[str, Any]) -> None:
    recipe = build(values)
    dumped = dump_recipe(recipe)
    again = parse_recipe(dumped, "x.yaml")
    assert again == recipe
    assert resolved(again) == resolved(recipe)
    assert recipe_differences(again, recipe) == []
    assert dump_recipe(again) == dumped
    assert yaml.safe_load(dumped) == resolved(recipe)  # other readers see the same


@settings(max_examples=30, deadline=None)
@given(recipes(), recipes())
def test_differences_are_exactly_what_differs(a: dict[str, Any], b: dict[str, Any]) -> None:
    left, right = build(a), build(b)
    differences = recipe_differences(left, right)
    assert (differences == []) == (resolved(left) == resolved(right))
    assert all(one != other for _, one, other in differences)
    mirrored = {key: (other, one) for key, one, other in recipe_differences(right, left)}
    assert mirrored == {key: (one, other) for key, one, other in differences}


def located(call: Callable[[], Recipe]) -> None:
    """A recipe, or errors of which each is one line that says where."""
    try:
        call()
    except RecipeError as error:
        for line in str(error).split("\n"):
            assert re.match(r"(x\.yaml:\d+|<command line>): \S", line), line
            assert line.isprintable()


BASE = dump_recipe(
    build(
        {
            "name": "x",
            "model": {"kind": "ssast", "embed_dim": 8, "depth": 1, "num_heads": 2},
            "data": {"train": [{"path": "clips", "fold": [1]}], "labels": ["yes", "no"], "columns": {"labels": "l"}},
            "objective": {"kind": "masked-patch"},
            "train": {"epochs": 1},
        }
    )
)
KEYS = sorted({".".join(map(str, path)) for path in parse_document(BASE, "x").lines if path})
WORDS = "x|3|0|-1|1e-4|.nan|.inf|true|yes|null|[1]|[]|{}|{a: 1}|'3'|010|1_000|1:30|&a 1|*a|!!int 3|[|'|a: b|- a"
scalars = st.sampled_from(
    [*WORDS.split("|"), "1" * 400, "9" * 30, "", "\t", "[1, {b: [2, x]}]", "{kind: ast}", "|", "\0", "\x85", "\ufeff"]
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("ab:-[]{},#&*!|>'\"%@`? \n\t\\0", max_size=60))
def test_any_text_is_read_or_refused_with_a_place(anything: str) -> None:
    located(lambda: parse_recipe(anything, "x.yaml"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_spoilt_recipe_is_read_or_refused_with_a_place(data: st.DataObject) -> None:
    lines = BASE.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        i = data.draw(st.integers(0, len(lines) - 1))
        key = lines[i].split(":")[0]
        change = data.draw(st.sampled_from(["value", "drop", "double", "rename", "indent", "insert"]))
        if change == "value":
            lines[i] = f"{key}: {data.draw(scalars)}"
        elif change == "drop":
            lines[i] = ""
        elif change == "double":
            lines.insert(i, lines[i])
        elif change == "rename":
            lines[i] = lines[i].replace(key, key + data.draw(text), 1)
        elif change == "indent":
            lines[i] = data.draw(st.sampled_from(["  ", " ", "\t"])) + lines[i]
        else:
            place = data.draw(st.integers(0, len(lines[i])))
            lines[i] = lines[i][:place] + data.draw(st.text(max_size=4)) + lines[i][place:]
    located(lambda: parse_recipe("\n".join(lines), "x.yaml"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(KEYS) | text, st.just("=") | st.just(""), scalars | text), min_size=1, max_size=4
    )
)
def test_any_override_is_taken_or_refused_with_a_place(overrides: list[tuple[str, str, str]]) -> None:
    located(lambda: parse_recipe(BASE, "x.yaml", ["".join(parts) for parts in overrides]))


@given(number | st.integers(-(10**298), 10**298))
def test_numbers_are_read_back_from_their_repr(value: float) -> None:
    found = plain_value(repr(value))
    assert found == value
    assert type(found) is type(value)


@given(text | tricky)
def test_any_text_in_quotes_is_that_text(value: str) -> None:
    quoted = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10**9)
    assert parse_value(quoted) == value
    assert parse_document(f"a: {quoted}", "x").value == {"a": value}
