"""`zoo pack` as a user types it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import program


def test_pack(
    zoo: Callable[..., subprocess.CompletedProcess[str]], tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Packing, verifying, and one line for a user's mistake; with --json stdout is JSON alone."""
    tones = tone_folder("tones")
    printed = zoo("pack", tones, "packs/tones", "--as", "flac", "--shard-clips", 3).stdout
    assert "16-bit FLAC, mono, 16,000 Hz" in printed
    assert "in 3 shards" in printed
    assert "use it: data.train=packs/tones" in printed
    assert json.loads(zoo("pack", "--verify", "packs/tones", "--json").stdout)["clips"] == 8
    (tmp_path / "packs/tones/shard-000001.tar").unlink()
    done = zoo("pack", "--verify", "packs/tones", code=2)
    assert done.stderr.startswith("packs/tones/shard-000001.tar: No such file")
    assert len(done.stderr.splitlines()) == 1
    assert "give the folder for the shards" in zoo("pack", tones, code=2).stderr


def test_an_interrupted_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """typer makes a number of Ctrl-C, which is no success."""
    monkeypatch.setattr(program, "app", lambda **_: 130)
    with pytest.raises(SystemExit) as caught:
        program.main(["pack"])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
