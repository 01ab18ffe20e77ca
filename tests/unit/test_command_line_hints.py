"""What the command line says of wrong words: which help to read, and that a column that was named must be there."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.errors import DataError
from zoo.use.audit import audit_manifests


def test_the_help_of_the_command_itself_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["split", "m.csv", "out.csv", "--by", "groups"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(" - see zoo split --help")


def test_a_column_that_is_named_must_be_there(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    tone_folder(clips=1)
    with (tmp_path / "m.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label"], ["tones/low/low_0.wav", "low"]])
    with pytest.raises(DataError, match="no column 'foo'"):
        audit_manifests([str(tmp_path / "m.csv")], columns={"labels": "foo"}, workers=0)


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["prepare", "folder", str(tmp_path / "nowhere")])
    assert capsys.readouterr().err.rstrip().endswith("- check the path")
