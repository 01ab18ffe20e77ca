"""Whatever goes wrong while a checkpoint is written, a whole one is left."""

import contextlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from zoo.disk import write_json, written_whole
from zoo.errors import CheckpointError
from zoo.train.checkpoint import (
    Checkpoints,
    find_whole,
    latest,
    load_checkpoint,
    load_trainer,
    problem_with,
    save_checkpoint,
)
from zoo.train.plan import Progress

CONFIG = {"model": {"kind": "ast", "patch_size": [16, 16]}, "labels": ["dog", "rooster"]}


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor))


class Killed(BaseException):
    """Stands for SIGKILL: nothing may clean up after it."""


def save(folder: Path, version: int, name: str = "last") -> None:
    state = {"weight": torch.full((3, 2), float(version)), "count": torch.tensor(version)}
    trainer = {"progress": {"clips": version}, "moments": torch.full((4,), float(version))} if name == "last" else None
    save_checkpoint(folder / name, state, {**CONFIG, "version": version}, trainer)


def version_of(folder: Path, resumable: bool = True) -> int:
    """Reads every part and makes sure that all are of one version."""
    state, config = load_checkpoint(folder)
    versions = {config["version"], int(state["count"]), *state["weight"].flatten().int().tolist()}
    if resumable:
        trainer = load_trainer(folder)
        versions |= {trainer["progress"]["clips"], *trainer["moments"].int().tolist()}
    assert len(versions) == 1
    return versions.pop()


def test_round_trip(tmp_path: Path) -> None:
    save(tmp_path / "checkpoints", 1)
    folder = tmp_path / "checkpoints" / "last"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "trainer.pt"]
    state, config = load_checkpoint(folder)
    assert config == {**CONFIG, "version": 1}
    assert torch.equal(state["weight"], torch.ones(3, 2))
    assert state["count"].dtype == torch.int64
    assert latest(tmp_path / "checkpoints") == folder
    assert version_of(folder) == 1


def test_the_one_before_last_is_kept_and_best_leaves_nothing_behind(tmp_path: Path) -> None:
    for version in (1, 2, 3):
        save(tmp_path, version)
        save(tmp_path, version, "best")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "last", "previous"]
    assert version_of(tmp_path / "last") == 3
    assert version_of(tmp_path / "previous") == 2
    assert version_of(tmp_path / "best", resumable=False) == 3


def test_tied_and_strided_tensors(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(3, 3, bias=False)
            self.two = nn.Linear(3, 3, bias=False)
            self.two.weight = self.one.weight
            self.turned = nn.Parameter(torch.randn(4, 2).t())
            big = torch.randn(10)
            self.register_buffer("part", big[2:5])
            self.register_buffer("whole", big)

    torch.manual_seed(1)
    model = Tied()
    Checkpoints(tmp_path, {"kind": "x"}).save("best", model, Progress(clips=7, seconds=1.234))
    state, config = load_checkpoint(tmp_path / "best")
    assert config == {"kind": "x", "clips": 7, "seconds": 1.23}
    fresh = Tied()
    fresh.load_state_dict(state)
    assert fresh.two.weight is fresh.one.weight
    for name, tensor in model.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name
    assert not (tmp_path / "best" / "trainer.pt").exists()


def test_saving_copies_so_that_training_can_go_on(tmp_path: Path) -> None:
    weight = torch.zeros(2)
    save_checkpoint(tmp_path / "best", {"weight": weight}, {})
    weight += 1
    assert torch.equal(load_checkpoint(tmp_path / "best")[0]["weight"], torch.zeros(2))


# Every call by which writing touches the disk: (owner, name). Each is made to fail at its n-th use.
STEPS: list[tuple[Any, str]] = [
    (os, "mkdir"),
    (os, "rename"),
    (os, "fsync"),
    (os, "open"),
    (Path, "mkdir"),
    (Path, "rename"),
    (Path, "write_text"),
    (shutil, "rmtree"),
    (torch, "save"),
    (safetensors.torch, "save_file"),
]


@contextlib.contextmanager
def failing(owner: Any, name: str, at: int, error: BaseException, after: bool) -> Iterator[list[int]]:
    """The `at`-th call of owner.name raises, before or after it has done its work."""
    original, calls = getattr(owner, name), [0]

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == at and not after:
            raise error
        result = original(*args, **kwargs)
        if calls[0] == at:
            raise error
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, wrapped)
        yield calls


@pytest.mark.parametrize("kind", [Killed, OSError])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[f"{o.__name__}.{n}" for o, n in STEPS])
def test_a_failure_at_any_step_leaves_a_whole_checkpoint(
    tmp_path: Path, owner: Any, name: str, after: bool, kind: type[BaseException]
) -> None:
    failures = 0
    for at in range(1, 30):
        folder = tmp_path / f"{name}-{at}"
        save(folder, 1)
        save(folder, 2)
        try:
            with failing(owner, name, at, kind("No space left on device"), after) as calls:
                save(folder, 3)
        except (Killed, CheckpointError):
            failures += 1
        if calls[0] < at:
            break
        with warnings.catch_warnings(action="ignore"):
            found = latest(folder)
        assert found is not None
        assert version_of(found) in (2, 3)
        # The next attempt, and the one after it, are as good as ever.
        for version in (4, 5):
            save(folder, version)
            assert latest(folder) == folder / "last"
            assert version_of(folder / "last") == version
        assert version_of(folder / "previous") == 4
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
    else:
        pytest.fail("the step never stopped being called")
    assert failures > 0 or name == "mkdir"


_watch: list[Callable[[str], None]] = []  # an audit hook cannot be removed: it is emptied instead
sys.addaudithook(lambda event, _: _watch[0](event) if _watch else None)


def test_at_no_moment_is_there_nothing_whole(tmp_path: Path) -> None:
    """Python announces every file it opens, renames or removes; a kill could come at each of these moments."""
    save(tmp_path, 1)
    seen: list[int] = []

    def look(event: str) -> None:
        if event.partition(".")[0] in ("open", "os", "shutil"):
            _watch.clear()  # looking opens files, too
            with warnings.catch_warnings(action="ignore"):
                found = latest(tmp_path)
            assert found is not None
            seen.append(version_of(found))
            _watch.append(look)

    _watch.append(look)
    try:
        save(tmp_path, 2)
        save(tmp_path, 3)
    finally:
        _watch.clear()
    assert len(seen) > 30
    assert set(seen) == {1, 2, 3}
    assert seen == sorted(seen)


@pytest.mark.parametrize("after", [False, True])
def test_best_survives_a_failure_between_its_renames(tmp_path: Path, after: bool) -> None:
    for at in (1, 2):
        save(tmp_path, 1, "best")
        with failing(Path, "rename", at, Killed(), after), contextlib.suppress(Killed):
            save(tmp_path, 2, "best")
        with warnings.catch_warnings(action="ignore"):
            found = find_whole(tmp_path / "best")
        assert version_of(found, resumable=False) in (1, 2)
        save(tmp_path, 3, "best")
        assert [path.name for path in tmp_path.iterdir()] == ["best"]


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_byte_less(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["model.safetensors", "trainer.pt"])
def test_a_single_wrong_bit_is_found_by_its_checksum(tmp_path: Path, file: str) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    flip_a_bit(tmp_path / "last" / file)
    with pytest.warns(UserWarning, match=rf"last: found {file} damaged .*; going on with previous"):
        assert latest(tmp_path) == tmp_path / "previous"


@pytest.mark.parametrize("file", ["model.safetensors", "trainer.pt"])
def test_a_damaged_last_does_not_take_the_place_of_the_whole_one_before_it(tmp_path: Path, file: str) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    flip_a_bit(tmp_path / "last" / file)
    save(tmp_path, 3)
    assert load_checkpoint(tmp_path / "previous")[1]["version"] == 1
    assert latest(tmp_path) == tmp_path / "last"


@pytest.mark.parametrize("keep_last", [1, 2, 3, 4])
def test_as_many_are_kept_as_asked_and_the_newest_whole_one_is_found(tmp_path: Path, keep_last: int) -> None:
    names = ["last", "previous", "previous-2", "previous-3"]
    for version in range(1, 7):
        state = {"weight": torch.full((2,), float(version))}
        save_checkpoint(tmp_path / "last", state, {"version": version}, {"version": version}, keep_last)
        expected = names[: min(version, keep_last)]
        assert sorted(path.name for path in tmp_path.iterdir()) == expected
        assert [load_checkpoint(tmp_path / name)[1]["version"] for name in expected] == [
            version - age for age in range(len(expected))
        ]
    for age, name in enumerate(names[: keep_last - 1], start=1):
        (tmp_path / name / "config.json").write_text("{")
        with pytest.warns(UserWarning, match=f"{name}: found config.json damaged.*; going on with {names[age]}"):
            assert latest(tmp_path) == tmp_path / names[age]


@pytest.mark.parametrize("damage", [half, one_byte_less, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "trainer.pt"])
def test_a_damaged_last_falls_back_to_previous(tmp_path: Path, file: str, damage: Callable[[Path], Any]) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    if (file, damage) == ("config.json", one_byte_less):
        return  # only the newline at its end is gone: it is whole
    damage(tmp_path / "last" / file)
    with pytest.warns(UserWarning, match=rf"last: found .*{file}.*; going on with previous"):
        found = latest(tmp_path)
    assert found == tmp_path / "previous"
    assert version_of(found) == 1
    save(tmp_path, 3)  # must not put the damaged one in the place of the whole one
    assert version_of(tmp_path / "last") == 3
    assert version_of(tmp_path / "previous") == 1


@pytest.mark.parametrize("room", [40, 600], ids=["for no weights", "for no trainer.pt"])
def test_a_full_disk_is_one_line_and_leaves_no_rubbish(tmp_path: Path, room: int) -> None:
    """Really: what torch and safetensors raise then is theirs to choose."""
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    save(tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"last: found no way to write it \(.*File too large.*\)") as caught:
            save(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert ".writing" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last"]
    assert version_of(tmp_path / "last") == 1


@pytest.mark.parametrize("owner", [torch, safetensors.torch], ids=["torch", "safetensors"])
def test_what_is_no_fault_of_the_disk_keeps_its_traceback(tmp_path: Path, owner: Any) -> None:
    save(tmp_path, 1)
    name = "save" if owner is torch else "save_file"
    with failing(owner, name, 1, RuntimeError("CUDA error"), after=False), pytest.raises(RuntimeError, match="CUDA"):
        save(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert version_of(tmp_path / "last") == 1


@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "open"), (os, "fsync"), (Path, "mkdir"), (Path, "write_text"), (Path, "replace")],
    ids=["os.open", "os.fsync", "mkdir", "write_text", "replace"],
)
@pytest.mark.parametrize("kind", [Killed, OSError])
@pytest.mark.parametrize("after", [False, True])
def test_a_file_is_there_as_a_whole_or_not_at_all(
    tmp_path: Path, owner: Any, name: str, after: bool, kind: type[BaseException]
) -> None:
    for at in (1, 2):
        out = tmp_path / f"{at}" / "summary.json"
        for value in range(2):
            with written_whole(out) as temporary:
                write_json(temporary, {"value": value})
        with (
            contextlib.suppress(Killed, CheckpointError),
            failing(owner, name, at, kind("No space left on device"), after),
            written_whole(out) as temporary,
        ):
            write_json(temporary, {"value": 2})
        assert json.loads(out.read_text()) in ({"value": 1}, {"value": 2})
        with written_whole(out) as temporary:
            write_json(temporary, {"value": 3})
        assert [path.name for path in out.parent.iterdir()] == ["summary.json"]
        assert json.loads(out.read_text()) == {"value": 3}


def test_what_is_written_is_synced_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    rename = Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(os.fstat(descriptor).st_ino))
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append("renamed"), rename(path, to))[1])
    with written_whole(tmp_path / "out") as temporary:
        (temporary / "inside").mkdir(parents=True)
        (temporary / "inside" / "a.json").write_text("{}")
    written = [tmp_path / name for name in ("out/inside/a.json", "out/inside", "out")]
    assert done == [*(path.stat().st_ino for path in written), "renamed", tmp_path.stat().st_ino]


def test_a_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    refused = pytest.raises(CheckpointError, match=r"out: found no way to write it \(Directory not empty\)")
    with refused, written_whole(tmp_path / "out") as temporary:
        temporary.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


def test_errors_say_what_is_missing_and_what_is_there(tmp_path: Path) -> None:
    save(tmp_path, 1, "best")
    with pytest.raises(CheckpointError, match=r"nowhere: found no such folder, beside it best - expected a checkpoint"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "best" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"best: found config\.json, without model\.safetensors - expected"):
        load_checkpoint(tmp_path / "best")
    (tmp_path / "best" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"best: found nothing, without model\.safetensors and config\.json"):
        load_checkpoint(tmp_path / "best")


def test_only_last_can_be_resumed(tmp_path: Path) -> None:
    save(tmp_path, 1, "best")
    with pytest.raises(CheckpointError, match=r"without trainer\.pt - expected trainer\.pt beside model\.safetensors"):
        load_trainer(tmp_path / "best")
    (tmp_path / "best").rename(tmp_path / "last")
    with pytest.raises(
        CheckpointError, match=r"no whole checkpoint \(last: config\.json.*without trainer\.pt; previous: no"
    ):
        latest(tmp_path)


def test_a_run_that_saved_nothing_yet_has_no_latest(tmp_path: Path) -> None:
    assert latest(tmp_path / "checkpoints") is None
    save(tmp_path, 1, "best")
    with failing(torch, "save", 1, Killed(), after=True), pytest.raises(Killed):
        save(tmp_path, 1)
    assert latest(tmp_path) is None


def test_damaged_files_are_named(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "last" / "config.json").write_text("[1, 2]")
    assert problem_with(tmp_path / "last") == "config.json damaged (no mapping)"
    (tmp_path / "last" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json damaged \(Expecting property name"):
        load_checkpoint(tmp_path / "last")
    half(tmp_path / "last" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors damaged"):
        load_checkpoint(tmp_path / "last")


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (os.system, (f"touch {tmp_path / 'sprung'}",))

    save(tmp_path, 1)
    torch.save({"progress": Trap()}, tmp_path / "last" / "trainer.pt")
    with pytest.raises(CheckpointError, match=r"trainer\.pt damaged"):
        load_trainer(tmp_path / "last")
    assert not (tmp_path / "sprung").exists()


def test_config_is_plain_json_for_people(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best", {"weight": torch.zeros(1)}, {"labels": ["Jungtier-Rufe", "ñandú"]})
    text = (tmp_path / "best" / "config.json").read_text(encoding="utf-8")
    assert "ñandú" in text
    assert json.loads(text) == {"labels": ["Jungtier-Rufe", "ñandú"]}
