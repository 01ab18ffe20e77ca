"""What YAML text means here, and that every mistake says where it is."""

from pathlib import Path
from typing import Any

import pytest

from zoo.recipe.strict_yaml import MAX_BYTES, parse_document, parse_value, plain_value, read_document, shown_path


def messages(text: str) -> list[str]:
    return parse_document(text, "x.yaml").messages()


def message(text: str) -> str:
    (only,) = messages(text)
    return only


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("5e-4", 5e-4),
        ("1.0e-4", 1e-4),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("+3", 3),
        ("-12", -12),
        ("0", 0),
        ("0.0", 0.0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_numbers_booleans_and_null(text: str, value: Any) -> None:
    found = plain_value(text)
    assert found == value
    assert type(found) is type(value)
    assert parse_document(f"a: {text}", "x.yaml").value == {"a": value}


WORDS = (
    "yes no on off Yes NO True FALSE y n Null None 010 00 0x1F 0b1 0o17 1_000 1:30 12:30:45 2024-01-01 1.5.2 "
    "1e 1e5.0 e5 . + - nan inf .infinity 010.5 = << 0,5"
)


@pytest.mark.parametrize("text", WORDS.split())
def test_everything_else_is_text(text: str) -> None:
    assert plain_value(text) == text


def test_labels_of_speech_commands_stay_words() -> None:
    assert parse_document("labels: [no, yes, on, off]", "x").value == {"labels": ["no", "yes", "on", "off"]}


def test_quoted_and_block_scalars_are_text() -> None:
    text = "a: '3'\nb: \"true\"\nc: |\n  1\nd: >-\n  null\n"
    assert parse_document(text, "x").value == {"a": "3", "b": "true", "c": "1\n", "d": "null"}


def test_keys_are_text() -> None:
    assert parse_document("1: a\ntrue: b\nno: c\n''  : d\n", "x").value == {"1": "a", "true": "b", "no": "c", "": "d"}


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.inf", "+.Inf", "1e400", "-1e999", "9" * 301, "9" * 5000])
def test_numbers_that_are_none_are_refused(text: str) -> None:
    found = message(f"a: 1\nb: [2, {text}]\n")
    assert found.startswith("x.yaml:2: b[1]: ")
    assert "finite" in found or "too large" in found
    assert len(found) < 200


def test_duplicate_keys_name_both_lines() -> None:
    text = "model:\n  depth: 1\n  kind: ast\n  depth: 2\noptim: {}\nmodel:\n  depth: 3\n"
    assert messages(text) == [
        "x.yaml:4: model.depth: given twice (first on line 2) - keep one",
        "x.yaml:6: model: given twice (first on line 1) - keep one",
    ]
    document = parse_document(text, "x.yaml")
    assert document.value["model"] == {"depth": 1, "kind": "ast"}
    assert document.lines[("model", "depth")] == 2


def test_mistakes_inside_a_duplicate_are_told_too() -> None:
    assert messages("a: {b: 1}\na:\n  b: .nan\n")[1].startswith("x.yaml:3: a.b: .nan is no finite number")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x 1", "x.yaml:1: a: an anchor (&x)"),
        ("a: 1\nb: *x", "x.yaml:2: b: an alias (*x)"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "x.yaml:1: a: a tag (tag:yaml.org,2002:python/object/apply:os.system",
        ),
        ("a: [1, !!str 2]", "x.yaml:1: a[1]: a tag"),
        ("a: ! 1", "x.yaml:1: a: a tag (!)"),
        ("&x a: 1", "x.yaml:1: a: an anchor or a tag at a key"),
        ("? [a, b]\n: 1", "x.yaml:1: an alias, a list or a mapping before ':'"),
        ("a: {? : 1}", "x.yaml:1: a: nothing before ':'"),
        ("a: 1\n---\nb: 2", "x.yaml:2: a second YAML document"),
        ('a: "\\ud800"', "x.yaml:1: a: half a character"),
        ('a: {"\\ud800": 1}', "x.yaml:1: a: half a character"),
    ],
)
def test_what_hides_something_is_refused(text: str, expected: str) -> None:
    assert message(text).startswith(expected)


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 12))
    found = messages("l0: &l0 lol\n" + levels)
    assert len(found) == 12 + 11 * 9
    assert found[1] == "x.yaml:2: l1: an anchor (&l1) - write the value out where it is needed"


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "[" * 100_000, "a: " + "{b: " * 50_000, "- " * 100_000])
def test_bottomless_nesting_is_refused_at_once(text: str) -> None:
    assert "nested more than 16 deep" in message(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n\tb: 2\n", "x.yaml:2: not YAML: a tab - YAML wants spaces"),
        ("a: 1\nb:\tc\n", "x.yaml:2: not YAML: a tab - YAML wants spaces"),
        ("a: 1\nb: c: d\n", "x.yaml:2: not YAML: a ':' too many"),
        ("a: 1\n  b: 2\n", "x.yaml:2: not YAML: a ':' too many - check the indentation"),
        ("a:\n    b: 1\n  c: 2\n", "x.yaml:3: not YAML: this does not fit what stands above it"),
        ("a: 1\nb: [1, 2\nc: 3\n", "x.yaml:2: not YAML: a '[' that is never closed"),
        ("a: 1\nb: {c: 2\nd: 3\n", "x.yaml:2: not YAML: a '{' that is never closed"),
        ("a: 1\nb: [", "x.yaml:2: not YAML: a '[' or a '{' that is never closed"),
        ("a: 1\nb: 'c\nd: 2\n", "x.yaml:2: not YAML: a quote that is never closed"),
        ("a: 'it's'\n", "x.yaml:1: not YAML: this does not fit what stands above it - check indentation and quotes"),
        ("a: 1\nb: @c\n", "x.yaml:2: not YAML: text that begins with this character has to be quoted"),
        ("a: 1\njust text\n", "x.yaml:2: not YAML: neither a key with ':'"),
        ("a: b\0c", "x.yaml:1: the character '\\x00' is not allowed in YAML"),
        ("a: 1\nb: \x07\n", "x.yaml:2: the character '\\x07' is not allowed in YAML"),
        ("%YAML 3.0\n---\na: 1", "x.yaml:1: not YAML: found incompatible YAML document"),
    ],
)
def test_syntax_errors_have_a_line(text: str, expected: str) -> None:
    document = parse_document(text, "x.yaml")
    (only,) = document.messages()
    assert only.startswith(expected)
    assert not document.is_whole


def test_what_comes_before_a_syntax_error_is_told_too() -> None:
    assert len(messages("a: 1\na: 2\nb: [\n")) == 2


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "---\n..."])
def test_an_empty_text_is_whole_and_without_value(text: str) -> None:
    document = parse_document(text, "x.yaml")
    assert document.value is None
    assert document.is_whole
    assert not document.problems


def test_a_file_with_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: .nan\r\n")
    document = read_document(path)
    assert document.value == {"a": 1, "b": None}
    assert document.problems[0].line == 2


def test_files_that_cannot_be_read_say_so_in_one_line(tmp_path: Path) -> None:
    latin, large = tmp_path / "latin.yaml", tmp_path / "large.yaml"
    latin.write_bytes("a: 1\nb: caf\xe9\n".encode("latin-1"))
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    expected = {
        latin: f"{latin}:2: not UTF-8 (byte 0xe9) - save the file as UTF-8",
        large: f"{large}: more than {MAX_BYTES} bytes - expected a short YAML file",
        tmp_path: f"{tmp_path}: a folder - expected a YAML file",
        tmp_path / "none.yaml": f"{tmp_path / 'none.yaml'}: no such file",
        tmp_path / "none.yaml" / "x": f"{tmp_path / 'none.yaml' / 'x'}: no such file",
        latin / "x": f"{latin / 'x'}: cannot be read (Not a directory)",
        Path("a\0b"): "'a\\x00b': cannot be read (embedded null byte)",
    }
    for path, text in expected.items():
        document = read_document(path)
        assert document.messages() == [text]
        assert not document.is_whole


def test_paths_are_shown_from_here_when_they_lie_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "recipes" / "x.yaml") == "recipes/x.yaml"
    assert shown_path("recipes/x.yaml") == "recipes/x.yaml"
    assert shown_path("/somewhere/else.yaml") == "/somewhere/else.yaml"
    assert shown_path("two\nlines") == "'two\\nlines'"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        (" null ", None),
        ("no", "no"),
        ("[no, 'yes', 1]", ["no", "yes", 1]),
        ("{path: a, fold: [1]}", {"path": "a", "fold": [1]}),
        ("''", ""),
        ('"3"', "3"),
        ("/data/take #3: final & cut", "/data/take #3: final & cut"),
        ("*.wav", "*.wav"),
    ],
)
def test_values_of_the_command_line(text: str, value: Any) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize("text", [".nan", "1e999", "[1", "[.inf]", "{a: 1, a: 2}", "'a' b", "\udcff"])
def test_values_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_value(text)
