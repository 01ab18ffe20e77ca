"""A checkpoint that is not what it says: one clear line, exit code 2, and nothing written or run."""

import json
import pickle
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.models.cost import build_on_meta
from zoo.models.registry import preset_config
from zoo.weights.formats.official_ast import OfficialAst

Zoo = Callable[..., subprocess.CompletedProcess[str]]


def state() -> dict[str, Any]:
    """Of an official AST, one layer of 64 channels."""
    config = preset_config("ast-tiny", embed_dim=64, depth=1, num_heads=1, n_frames=128, num_classes=3)
    shapes = build_on_meta(config).state_dict()
    return OfficialAst().export({name: torch.zeros(tensor.shape) for name, tensor in shapes.items()}, config)


class _Attack:
    """Unpickled carelessly, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (exec, (f"open({str(self.trace)!r}, 'w').close()",))


def malicious(path: Path) -> None:
    torch.save({**state(), "more": _Attack(path.with_name("trace"))}, path)


def malicious_plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Attack(path.with_name("trace")), protocol=2))


def truncated(path: Path) -> None:
    torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:-4000])


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", pickle.dumps({}))
        file.writestr("x/data/0", bytes(50_000_000))


def huge_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 10**15) + b'{"a": ' + bytes(100))


def wrong_shape(path: Path) -> None:
    torch.save({**state(), "v.blocks.0.attn.proj.weight": torch.zeros(3, 5)}, path)


def not_finite(path: Path) -> None:
    torch.save({**state(), "v.norm.weight": torch.full((64,), float("nan"))}, path)


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>This link has expired</body></html>")


BAD = {
    malicious: "exec",
    malicious_plain_pickle: "exec",
    truncated: "cut short",
    zip_bomb: "packed zip archive",
    huge_header: "header",
    wrong_shape: "misshapen: v.blocks.0.attn.proj.weight (3, 5) instead of (64, 64)",
    not_finite: "v.norm.weight",
    web_page: "web page",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_it_is_refused(make: Callable[[Path], None], zoo: Zoo, tmp_path: Path) -> None:
    make(tmp_path / "bad.pth")
    for command in (("doctor", "bad.pth"), ("convert", "bad.pth", "out")):
        done = zoo(*command, code=2)
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("bad.pth: ")
        assert BAD[make] in lines[0]
        assert lines[0].count(" - ") >= 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad.pth"]


def test_the_same_file_unharmed_is_described(zoo: Zoo, tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "good.pth")
    report = json.loads(zoo("doctor", "good.pth", "--json").stdout)
    assert report["format"] == "official AST"
    assert report["front_end"]["kind"] == "ast"
    assert "window" in zoo("doctor", "good.pth").stdout
