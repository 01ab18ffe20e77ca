"""A file of weights is read whatever wraps it, and whatever else is in it is refused in one line, without being run."""

import argparse
import builtins
import collections
import io
import json
import os
import pathlib
import pickle
import struct
import sys
import time
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from zoo.errors import CheckpointError
from zoo.weights.files import check_finite, read_tensors
from zoo.weights.pickles.load import MAX_PICKLE

STATE = {"v.weight": torch.arange(6.0).reshape(2, 3), "v.bias": torch.tensor([0.5, -0.5]), "count": torch.tensor(7)}
FORMS = pytest.mark.parametrize("form", ["zip", "legacy"])


def write(path: Path, content: Any, form: str = "zip") -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    return path


def refusal(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(CheckpointError) as caught:
        read_tensors(path)
    text = str(caught.value)
    assert text.isprintable()
    assert text.startswith(f"{path}: found ")
    assert text.count(" - ") >= 2, "where: found - expected - what to do"
    return text


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def archive(path: Path, pickled: bytes, records: dict[str, bytes] | None = None, packing: int = 0) -> Path:
    """A zip file in the form of torch.save, around any pickle."""
    with zipfile.ZipFile(path, "w", packing) as file:
        file.writestr("x/data.pkl", pickled)
        for name, data in {"data/0": b"\0" * 24, "version": b"3\n", **(records or {})}.items():
            file.writestr(f"x/{name}", data)
    return path


def data_pkl(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as file:
        return file.read("archive/data.pkl")


# What is read


@FORMS
def test_a_state_dict_of_torch_save(tmp_path: Path, form: str) -> None:
    file = read_tensors(write(tmp_path / "weights.bin", STATE, form))
    assert file.path == tmp_path / "weights.bin"
    assert same(file.state, STATE)
    assert file.notes == ()


def test_safetensors_under_any_name(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "weights.pth", {"format": "pt"})
    file = read_tensors(tmp_path / "weights.pth")
    assert same(file.state, STATE)
    assert file.notes == ()


def test_a_modules_own_state_dict_with_parameters_and_shared_tensors(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(3, 3)
            self.two = nn.Linear(3, 3)
            self.two.weight = self.one.weight
            self.short = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))

    module = Tied()
    state = {**module.state_dict(), "part": module.one.weight.detach()[1:].t(), "kept": nn.Parameter(torch.ones(2))}
    found = read_tensors(write(tmp_path / "x.pt", state)).state
    assert same(found, {key: value.detach() for key, value in state.items()})
    assert not any(value.requires_grad for value in found.values())


@FORMS
@pytest.mark.parametrize("folder", ["model", "state_dict", "model_state_dict", "net", "weights"])
def test_a_state_dict_beside_other_things(tmp_path: Path, folder: str, form: str) -> None:
    content = {"epoch": 3, folder: STATE, "resolved_config": {"model": {"sizes": [1, 2], "name": "x"}}}
    file = read_tensors(write(tmp_path / "x.pth", content, form))
    assert same(file.state, STATE)
    assert file.notes == ()


def test_folders_within_folders_and_the_usual_name_first(tmp_path: Path) -> None:
    content = {
        "ema": {"other": torch.zeros(1)},
        "checkpoint": {"lr": 0.1, "state_dict": STATE},
        "model": {"net": STATE},
    }
    file = read_tensors(write(tmp_path / "x.pth", content))
    assert same(file.state, STATE)
    assert any("ema" in note for note in file.notes)
    with pytest.raises(CheckpointError, match=r"tensors under each of 'one', 'two'"):
        read_tensors(write(tmp_path / "y.pth", {"one": STATE, "two": STATE}))


@pytest.mark.parametrize(
    ("names", "expected", "note"),
    [
        (["module.v.a", "module.head.b"], ["v.a", "head.b"], "'module.'"),
        (["_orig_mod.v.a", "_orig_mod.b"], ["v.a", "b"], "_orig_mod"),
        (["module._orig_mod.v.a", "module._orig_mod.b"], ["v.a", "b"], "'module.'"),
        (["net._orig_mod.v.a", "net.v.b"], ["v.a", "v.b"], "'net.'"),
        (["model.v.a", "model.b"], ["v.a", "b"], "'model.'"),
        (["net.a", "mel.window"], ["a"], "left out: mel.*"),
        (["net.a", "net.x.b", "net_swa.a", "net_swa.x.b"], ["a", "x.b"], "averaged"),
    ],
)
def test_prefixes_are_taken_off(tmp_path: Path, names: list[str], expected: list[str], note: str) -> None:
    state = {name: torch.tensor([float(i)]) for i, name in enumerate(names)}
    file = read_tensors(write(tmp_path / "x.ckpt", {"state_dict": state}))
    assert list(file.state) == expected
    assert any(note in line for line in file.notes)
    values = torch.cat(list(file.state.values()))
    assert torch.equal(values, torch.arange(len(names), dtype=torch.float32)[-len(expected) :] * ("mel" not in note))


@pytest.mark.parametrize(
    "names", [["module.a", "b"], ["v.a", "v.b"], ["backbone.a", "backbone.b"], ["a", "_orig_mod.a"], ["module"]]
)
def test_names_that_are_no_prefix_stay(tmp_path: Path, names: list[str]) -> None:
    file = read_tensors(write(tmp_path / "x.pth", {name: torch.ones(1) for name in names}))
    assert list(file.state) == names
    assert file.notes == ()


def test_an_averaged_model(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(nn.Linear(2, 1))
    file = read_tensors(write(tmp_path / "x.pth", averaged.state_dict()))
    assert list(file.state) == ["weight", "bias"]


@FORMS
def test_harmless_things_beside_the_weights(tmp_path: Path, form: str) -> None:
    content = {
        "model": {**STATE, "step": 5, "nothing": None},
        "args": argparse.Namespace(lr=0.1, out=pathlib.Path("/a/b"), more=argparse.Namespace(names=("x", "y"))),
        "best": np.float64(0.25),
        "epoch": np.int64(3),
        "big_endian": np.array([1, 2], dtype=">i4"),
        "flag": np.bool_(True),
        "word": np.str_("äb"),
        "mean": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "log": collections.defaultdict(list, {"loss": [1.0]}),
        "kind": torch.float16,
        "device": torch.device("cuda:0"),
        "size": torch.Size([2, 3]),
        "names": {"b", "a"},
        "bytes": (b"", b"ab"),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0), "moments": torch.ones(4)}}, "groups": [{"lr": 0.1}]},
    }
    assert same(read_tensors(write(tmp_path / "x.pth", content, form)).state, STATE)


@FORMS
def test_kinds_of_dict_that_hold_the_weights(tmp_path: Path, form: str) -> None:
    content = collections.defaultdict(dict, {"model": collections.defaultdict(list, STATE)})
    assert same(read_tensors(write(tmp_path / "x.pth", content, form)).state, STATE)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_files_written_with_either_numpy(tmp_path: Path, module: str) -> None:
    pickled = data_pkl({"state_dict": {}, "a": np.float64(2.5), "b": np.array([1.5])})
    assert b"numpy._core.multiarray" in pickled
    weights = data_pkl({"w": torch.ones(6)})
    start, end = weights.index(b"ctorch._utils"), weights.index(b"s.")
    pickled = pickled.replace(b"numpy._core.multiarray", module.encode()).replace(b"}q\x02", weights[start:end])
    assert same(read_tensors(archive(tmp_path / "x.pth", pickled)).state, {"state_dict": torch.zeros(6)})


def test_a_lightning_checkpoint_of_an_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    callbacks = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    parsing = types.ModuleType("pytorch_lightning.utilities.parsing")
    checkpoint = type("ModelCheckpoint", (), {"__module__": callbacks.__name__})
    attributes = type("AttributeDict", (dict,), {"__module__": parsing.__name__})
    callbacks.ModelCheckpoint, parsing.AttributeDict = checkpoint, attributes  # type: ignore[attr-defined]
    for module in (callbacks, parsing):
        for name in ("pytorch_lightning", module.__name__.rpartition(".")[0]):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    content = {
        "pytorch-lightning_version": "1.3.1",
        "callbacks": {checkpoint: {"best_model_path": "/x.ckpt", "best_model_score": torch.tensor(0.5)}},
        "hyper_parameters": attributes({"lr": 1e-5}),
        "state_dict": {"net.a": torch.ones(1), "net_swa.a": torch.zeros(1), "mel.window": torch.ones(3)},
    }
    file = read_tensors(write(tmp_path / "x.ckpt", content))
    assert same(file.state, {"a": torch.zeros(1)})
    assert file.notes == ("net_swa.* taken (the averaged weights); left out: mel.*, net.*",)


# What could run code


class Reduced:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def attacks(victim: Path) -> dict[str, tuple[Any, str]]:
    code = f"open({str(victim)!r}, 'w').write('run')"
    return {
        "system": (Reduced(os.system, f"touch {victim}"), f"{os.system.__module__}.system"),
        "exec": (Reduced(builtins.exec, code), "builtins.exec"),
        "eval": (Reduced(builtins.eval, code), "builtins.eval"),
        "open": (Reduced(builtins.open, str(victim), "w"), f"{builtins.open.__module__}.open"),
        "touch": (Reduced(pathlib.Path.touch, victim), "Path"),
        "torch": (Reduced(torch.hub.load, "a", "b"), "torch.hub.load"),
        "numpy": (Reduced(np.save, str(victim), [1]), "numpy.save"),
        "memory": (Reduced(bytearray, 10), "builtins.bytearray"),
    }


ATTACKS = sorted(attacks(Path("x")))


@FORMS
@pytest.mark.parametrize("name", ATTACKS)
def test_a_malicious_pickle_is_refused_by_name_and_writes_nothing(tmp_path: Path, name: str, form: str) -> None:
    attack, named = attacks(tmp_path / "victim")[name]
    for content in (attack, {"model": STATE, "args": attack}, {"model": {**STATE, "w": attack}}, [attack]):
        path = write(tmp_path / "x.pth", content, form)
        text = refusal(path)
        assert named in text
        assert "state_dict()" in text
        assert os.listdir(tmp_path) == ["x.pth"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_malicious_plain_pickle(tmp_path: Path, name: str, protocol: int) -> None:
    attack, named = attacks(tmp_path / "victim")[name]
    path = tmp_path / "x.pth"
    path.write_bytes(pickle.dumps({"w": 1, "x": attack}, protocol=protocol))
    reason = named if protocol == 2 else f"found pickle protocol {protocol} - expected protocol 2"
    assert reason in refusal(path)
    assert reason in refusal(archive(path, path.read_bytes()))
    assert os.listdir(tmp_path) == ["x.pth"]


@FORMS
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_newer_pickle_protocol_is_told(tmp_path: Path, protocol: int, form: str) -> None:
    path = tmp_path / "x.pth"
    torch.save(STATE, path, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
    assert "protocol 2, which torch.save writes - save its state_dict() again" in refusal(path)


def test_instructions_of_newer_protocols_under_an_old_number(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    pickled = pickle.dumps(Reduced(os.system, f"touch {victim}"), protocol=4)
    refusal(archive(tmp_path / "x.pth", b"\x80\x02" + pickled[2:]))
    refusal(archive(tmp_path / "x.pth", pickled[2:]))
    assert os.listdir(tmp_path) == ["x.pth"]


def test_what_other_code_allowed_is_not_allowed_here(tmp_path: Path) -> None:
    def save(path: Path) -> Path:
        return write(path, {"model": STATE, "x": collections.ChainMap({"a": 1})})

    allowed: list[Any] = [collections.ChainMap, (eval, "argparse.Namespace")]
    with torch.serialization.safe_globals(allowed):
        before = set(torch.serialization.get_safe_globals())
        assert "collections.ChainMap" in refusal(save(tmp_path / "x.pth"))
        namespace = write(tmp_path / "y.pth", {"model": STATE, "args": argparse.Namespace(a=1)})
        assert same(read_tensors(namespace).state, STATE)
        assert set(torch.serialization.get_safe_globals()) == before


def test_a_whole_model_and_unusual_tensors(tmp_path: Path) -> None:
    text = refusal(write(tmp_path / "model.pth", nn.Sequential(nn.Linear(2, 2))))
    assert "a whole pickled model (torch.nn.modules.container.Sequential" in text
    sparse = torch.eye(3).to_sparse()
    assert "sparse tensors" in refusal(write(tmp_path / "sparse.pth", {"w": sparse}))
    assert "complex64" in refusal(write(tmp_path / "complex.pth", {"w": torch.ones(2, dtype=torch.complex64)}))
    assert "float8" in refusal(write(tmp_path / "f8.pth", {"w": torch.ones(2).to(torch.float8_e4m3fn)}))


def test_quantised_tensors(tmp_path: Path) -> None:
    name = b"ctorch._utils\n_rebuild_qtensor\n"
    pickled = data_pkl({"w": torch.ones(6)}).replace(b"ctorch._utils\n_rebuild_tensor_v2\n", name)
    assert "quantised tensors" in refusal(archive(tmp_path / "x.pth", pickled))
    pickled = data_pkl({"w": torch.ones(6)}).replace(b"ctorch\nFloatStorage\n", b"ctorch\nQInt8Storage\n")
    assert "quantised tensors (torch.QInt8Storage)" in refusal(archive(tmp_path / "y.pth", pickled))


def test_torchscript_is_a_program(tmp_path: Path) -> None:
    records = {"code/__torch__.py": b"def forward(self): pass\n" * 99, "constants.pkl": b"\x80\x02)."}
    path = archive(tmp_path / "x.pt", data_pkl({"w": torch.ones(6)}), records, zipfile.ZIP_DEFLATED)
    assert "TorchScript" in refusal(path)


# What could fill the memory


def patched(pickled: bytes, old: bytes, new: bytes) -> bytes:
    assert pickled.count(old) == 1
    return pickled.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"K\x06\x85", b"\x8a\x06\0\0\0\0\0\x40\x85", "claims"),  # a shape of 2**46 values
        (b"K\x01\x85", b"J\xff\xff\xff\x7f\x85", "claims"),  # a step between values that leaves the storage
        (b"K\x06t", b"\x8a\x06\0\0\0\0\0\x40t", "record size (24 bytes) does not match"),  # a storage of 2**46 values
        (b"K\x06t", b"K\x07t", "record size (24 bytes) does not match"),  # one of a value more
        (b"QK\x00", b"QK\x01", "claims"),  # an offset past the end
        (b"K\x06\x85", b"J\xff\xff\xff\xff\x85", "sizes"),  # -1 values
        (b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x001", "data/1"),  # a storage that is not there
    ],
)
def test_a_tensor_that_claims_more_than_its_bytes(tmp_path: Path, old: bytes, new: bytes, reason: str) -> None:
    pickled = data_pkl({"w": torch.zeros(6)})
    assert read_tensors(archive(tmp_path / "x.pth", pickled)).state["w"].shape == (6,)
    start = time.perf_counter()
    assert reason in refusal(archive(tmp_path / "x.pth", patched(pickled, old, new)))
    assert time.perf_counter() - start < 5


@FORMS
def test_an_expanded_tensor(tmp_path: Path, form: str) -> None:
    text = refusal(write(tmp_path / "x.pth", {"w": torch.zeros(1).expand(10**6, 10**6)}, form))
    assert "claims 4,000,000,000,000 bytes of the 4 that are stored" in text


def test_many_tensors_of_the_same_bytes(tmp_path: Path) -> None:
    base = torch.zeros(100)
    assert len(read_tensors(write(tmp_path / "few.pth", {str(i): base[:] for i in range(4)})).state) == 4
    assert "8 times" in refusal(write(tmp_path / "many.pth", {str(i): base[:] for i in range(40)}))


def test_a_zip_bomb(tmp_path: Path) -> None:
    pickled = data_pkl({"w": torch.zeros(2**24)})
    bomb = archive(tmp_path / "x.pth", pickled, {"data/0": bytes(2**26)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**18
    assert "packed zip archive" in refusal(bomb)


def test_zip_entries_that_share_their_bytes(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.pth", data_pkl({"w": torch.zeros(6)}), {"data/0": bytes(1000)})
    data = bytearray(path.read_bytes())
    for entry in data.split(b"PK\x01\x02")[1:]:
        start = data.index(entry)
        data[start + 16 : start + 24] = struct.pack("<II", 2000, 2000)  # packed and unpacked size in the directory
    path.write_bytes(data)
    assert "unpack to 6,000" in refusal(path)


def test_a_pickle_that_is_too_large(tmp_path: Path) -> None:
    pickled = b"\x80\x02X" + struct.pack("<I", MAX_PICKLE) + bytes(MAX_PICKLE) + b"."
    assert "data.pkl of" in refusal(archive(tmp_path / "x.pth", pickled))
    path = tmp_path / "legacy.pth"
    path.write_bytes(pickled)
    assert "cannot be read" in refusal(path)


def test_small_pickles_of_endlessly_many_values(tmp_path: Path) -> None:
    shared = b"(]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(60)) + b"t"
    keys = b"()q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60)) + b"t"
    text = b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00utf-8\x86R"
    weights = data_pkl({"w": torch.ones(6)})
    weights = weights[weights.index(b"X\x01\x00\x00\x00w") : weights.index(b"s.")]
    bombs = {
        "keys": (b"\x80\x02}" + keys + b"K\x01s.", "nested key"),
        "sets": (b"\x80\x02c__builtin__\nset\n](" + keys + b"e\x85R.", "nested key"),
        "coding": (b"\x80\x02" + text + b".", "unusual coding"),
    }
    start = time.perf_counter()
    for name, (pickled, reason) in bombs.items():
        assert reason in refusal(archive(tmp_path / f"{name}.pth", pickled)), name
    lists = b"\x80\x02}" + b"X\x01\x00\x00\x00a" + shared + b"s" + weights + b"s."
    assert same(
        read_tensors(archive(tmp_path / "lists.pth", lists)).state, {"w": torch.zeros(6)}
    )  # nobody unfolds them
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("length", [2**63 - 1, 2**60, 10**12, 10**8 + 1, 1000])
def test_a_huge_safetensors_header(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b'{"a":{}}')
    assert f"header of {length:,} bytes in a file of 16" in refusal(path)


@pytest.mark.parametrize(
    ("header", "num_bytes"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, 12),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 7),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 9),
        ({"a": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 8]}}, 8),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**62]}}, 8),
        ({"a": {"dtype": "X32", "shape": [2], "data_offsets": [0, 8]}}, 8),
        ({"a": 1}, 8),
        ({}, 0),
    ],
)
def test_a_safetensors_header_that_does_not_fit(tmp_path: Path, header: dict[str, Any], num_bytes: int) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(num_bytes))
    refusal(path)


# What is damaged, or no checkpoint


def three_forms(folder: Path) -> dict[str, Path]:
    content = {"epoch": np.float64(1), "model": STATE}
    forms = {form: write(folder / f"{form}.pth", content, form) for form in ("zip", "legacy")}
    safetensors.torch.save_file(STATE, folder / "x.safetensors")
    return {**forms, "safetensors": folder / "x.safetensors"}


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_file_cut_short_anywhere(tmp_path: Path, form: str) -> None:
    whole = three_forms(tmp_path)[form].read_bytes()
    path = tmp_path / "cut.pth"
    for length in {*range(0, len(whole), 7), *range(40), *range(len(whole) - 40, len(whole))}:
        path.write_bytes(whole[:length])
        refusal(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_never_give_anything_but_tensors_or_one_line(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(sorted(three_forms(tmp_path).values()))).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.pth"
    path.write_bytes(whole)
    try:
        state = read_tensors(path).state
    except CheckpointError:
        refusal(path)  # one line, and the same again
    else:
        assert all(isinstance(value, torch.Tensor) for value in state.values())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><title>Not found</title>", "looks like a web page"),
        (b"<HTML><body>", "looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b'{"error": "no such file"}', "text"),
        (b"hello w{rld", "text"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x00\x01\x02\x03", "unknown bytes"),
        (b"PK\x05\x06" + bytes(18), "empty zip"),
        (b"\x80\x02K\x01.", "torch.save did not write"),
        (b"\x80\x02S'\\8'\n.", "instruction STRING"),  # of which pickletools warns
    ],
)
def test_what_is_no_checkpoint(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    assert words in refusal(path)


def test_no_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.pth")
    assert "a folder" in refusal(tmp_path)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("a.npy", b"1")
    assert "without data.pkl (with a.npy)" in refusal(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.ones(2), "a Tensor"),
        ([torch.ones(2)], "a list"),
        ({}, "no tensors"),
        ({"a": 1, "b": "x"}, "no tensors by name (but 'a', 'b')"),
        ({"a": {"b": {"c": {"d": {"e": torch.ones(1)}}}}}, "no tensors"),
        ({"net": {"net": {"net": {"net": {"e": torch.ones(1)}}}}}, "at most 3 deep"),
        ({0: torch.ones(1)}, "by the name 0"),
        ({"a\nb": torch.ones(1)}, r"by the name 'a\nb'"),
    ],
)
def test_content_that_is_no_state_dict(tmp_path: Path, content: Any, words: str) -> None:
    assert words in refusal(write(tmp_path / "x.pth", content))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_no_numbers_are_named(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    state = {**STATE, "head.weight": torch.zeros(3, 3, dtype=dtype)}
    state["head.weight"][1, 2] = value
    assert "in 1 of 4 tensors (head.weight)" in refusal(write(tmp_path / "x.pth", {"model": state}))
    safetensors.torch.save_file(state, tmp_path / "x.safetensors")
    assert "head.weight" in refusal(tmp_path / "x.safetensors")


def test_many_bad_tensors_are_counted() -> None:
    state = {f"w{i}": torch.full((2,), float("nan")) for i in range(12)}
    with pytest.raises(CheckpointError, match=r"in 12 of 12 tensors \(w0, .*w7 and 4 more\)"):
        check_finite(Path("x"), state)
    check_finite(Path("x"), STATE)
