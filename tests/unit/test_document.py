"""Values with lines, and the list of what is wrong with them."""

import pytest

from zoo.errors import RecipeError
from zoo.recipe.document import MAX_TOLD, Document, Problem, did_you_mean, key_text, shortened
from zoo.recipe.strict_yaml import parse_document

TEXT = "model:\n  patch_size:\n    - 16\n    - 8\noptim: {lr: 1, betas: [1, 2]}\n"


def test_every_value_has_its_line() -> None:
    document = parse_document(TEXT, "x.yaml")
    assert document.line_of(()) == 1
    assert document.line_of(("model", "patch_size")) == 2
    assert document.line_of(("model", "patch_size", 1)) == 4
    assert document.line_of(("optim", "betas", 0)) == 5


def test_what_is_missing_is_where_its_section_is() -> None:
    document = parse_document(TEXT, "x.yaml")
    assert document.line_of(("optim", "eps")) == 5
    assert document.line_of(("nothing", "at", "all")) == 1


def test_problems_are_told_by_line_once_each_and_the_command_line_last() -> None:
    document = parse_document(TEXT, "x.yaml")
    document.put(("model", "depth"), 3)
    for path in [("model", "depth"), ("optim", "lr"), ("model",), ("optim", "lr")]:
        document.report(path, "bad")
    assert document.messages() == [
        "x.yaml:1: model: bad",
        "x.yaml:5: optim.lr: bad",
        "<command line>: model.depth: bad",
    ]
    with pytest.raises(RecipeError, match=r"^x\.yaml:1: model: bad\nx\.yaml:5"):
        document.check()


def test_without_problems_nothing_is_raised() -> None:
    parse_document(TEXT, "x.yaml").check()


def test_a_flood_of_problems_is_counted() -> None:
    document = Document("x.yaml", problems=[Problem(i, "", "bad") for i in range(1, MAX_TOLD + 4)])
    assert document.messages()[-2:] == [f"x.yaml:{MAX_TOLD}: bad", "x.yaml: 3 more"]


def test_at_gives_values_and_nothing_beyond_them() -> None:
    document = parse_document(TEXT, "x.yaml")
    assert document.at(("model", "patch_size", 1)) == 8
    assert document.at(("optim",)) == {"lr": 1, "betas": [1, 2]}
    for path in [("model", "patch_size", 2), ("model", "x", "y"), ("optim", "lr", "x"), ("optim", 0)]:
        assert document.at(path) is None


def test_put_makes_sections_and_forgets_old_lines() -> None:
    document = parse_document(TEXT, "x.yaml")
    document.put(("optim", "betas"), [3, 4])
    document.put(("model", "patch_size", "freq"), 16)
    document.put(("new", "key"), True)
    assert document.value == {
        "model": {"patch_size": {"freq": 16}},
        "optim": {"lr": 1, "betas": [3, 4]},
        "new": {"key": True},
    }
    assert document.line_of(("optim", "betas", 0)) is None
    assert document.line_of(("model", "patch_size")) is None
    assert document.line_of(("optim", "lr")) == 5


def test_drop_takes_a_value_out_and_does_not_mind_when_there_is_none() -> None:
    document = parse_document(TEXT, "x.yaml")
    document.drop(("optim", "betas"))
    document.drop(("optim", "betas"))
    document.drop(("nothing", "here"))
    assert document.value["optim"] == {"lr": 1}


def test_keys_fit_on_a_line() -> None:
    assert key_text(("model", "patch_size", 0)) == "model.patch_size[0]"
    assert key_text(("a\nb", "", " c", "d" * 100)) == f"'a\\nb'.''.' c'.{'d' * 57}..."
    assert shortened("abcdef", 5) == "ab..."


def test_did_you_mean_ignores_case_and_says_nothing_of_strangers() -> None:
    assert did_you_mean("MAP", ["mAP", "auc"]) == "; did you mean 'mAP'?"
    assert did_you_mean("embed_dims", ["embed_dim", "depth"]) == "; did you mean 'embed_dim'?"
    assert did_you_mean("zzz", ["embed_dim", "depth"]) == ""
