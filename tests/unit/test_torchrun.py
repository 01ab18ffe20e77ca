"""What a process knows from torchrun, and what is remembered for it: told once, resumed by itself."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from typer.testing import CliRunner

from zoo.cli.program import app, main
from zoo.data.config import DataConfig
from zoo.errors import RecipeError
from zoo.provenance import pick_device
from zoo.torchrun import (
    goes_on,
    is_first_to_say,
    is_main_process,
    is_started_by_torchrun,
    local_rank,
    meet,
    processes_here,
)
from zoo.train.plan import Report
from zoo.use.console import Console


def start(monkeypatch: pytest.MonkeyPatch, rank: int = 0, world: int = 2, restarts: int = 0, port: int = 1) -> None:
    """As torchrun starts a process, one machine."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
    told |= {"TORCHELASTIC_RUN_ID": "x", "TORCHELASTIC_RESTART_COUNT": restarts, "TORCHELASTIC_USE_AGENT_STORE": "True"}
    for name, value in {**told, "MASTER_ADDR": "localhost", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture
def port() -> Iterator[int]:
    """Of a store like torchrun's own."""
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    yield store.port
    del store  # which is there until now


def test_alone() -> None:
    assert not is_started_by_torchrun()
    assert is_main_process()
    assert (local_rank(), processes_here()) == (0, 1)
    assert is_first_to_say("a")
    assert is_first_to_say("a")
    assert not goes_on(Path("x"), False)
    assert goes_on(Path("x"), True)


def test_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, rank=1)
    assert is_started_by_torchrun()
    assert not is_main_process()
    assert (local_rank(), processes_here()) == (1, 2)
    start(monkeypatch, rank=0, world=1)
    assert not is_started_by_torchrun()
    assert is_main_process()
    assert processes_here() == 1


def test_a_variable_of_another_starter_is_not_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert not is_started_by_torchrun()


def test_what_all_find_out_is_told_once(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    said = []
    for restarts in range(2):
        for rank in range(2):
            start(monkeypatch, rank, restarts=restarts, port=port)
            said += [is_first_to_say("a bad recipe"), rank == 1 and is_first_to_say("a bad disk")]
    assert said == [True, False, False, True] + 4 * [False]


def test_a_restart_resumes_what_this_torchrun_began(monkeypatch: pytest.MonkeyPatch, port: int, tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    other.mkdir()
    (other / "recipe.yaml").write_text("of another run")
    start(monkeypatch, port=port)
    assert not goes_on(run, False)
    assert not goes_on(other, False)
    run.mkdir()
    (run / "recipe.yaml").write_text("ours")
    # A machine that joins later restarts all processes, too, and counts no restart.
    for restarts in range(2):
        for rank in range(2):
            start(monkeypatch, rank, restarts=restarts, port=port)
            assert goes_on(run, False)
            assert not goes_on(other, False)  # a restart is no licence to write over another run
            assert goes_on(other, True)


def test_processes_of_one_start_meet_and_none_of_the_start_before(port: int) -> None:
    def come(rank: int, wait: float = 0.0) -> str:
        time.sleep(wait)
        notes = dist.TCPStore("localhost", port, is_master=False, wait_for_workers=False)
        return meet(notes, rank, 3, timedelta(seconds=20))

    names = []
    for _ in range(
        3
    ):  # starts; the first process is the last to come, and all others find the name of the start before
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(come, range(3), (0.2, 0.0, 0.1)))
        assert len(set(found)) == 1
        names.append(found[0])
    assert len(set(names)) == 3


def test_a_process_that_never_comes(port: int) -> None:
    notes = dist.TCPStore("localhost", port, is_master=False, wait_for_workers=False)
    with pytest.raises(dist.DistStoreError, match=r"process 0 waited for \[1\] in vain"):
        meet(notes, 0, 2, timedelta(seconds=0.1))
    with pytest.raises(dist.DistStoreError, match=r"process 1 waited for \[0\] in vain"):
        meet(notes, 1, 2, timedelta(seconds=0.1))


def test_without_a_store_the_number_of_restarts_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for restarts in range(2):
        start(monkeypatch, restarts=restarts)
        monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
        assert goes_on(tmp_path / "run", False) is (restarts > 0)
        assert is_first_to_say("a")
        assert is_first_to_say("a")


def test_a_gpu_for_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device() == torch.device("cuda")
    start(monkeypatch, rank=1)
    assert pick_device() == pick_device("cuda") == torch.device("cuda", 1)
    assert pick_device("cpu") == torch.device("cpu")
    start(monkeypatch, rank=1, world=3)
    with pytest.raises(RecipeError, match=r"found 3 processes for 2 CUDA devices .* --nproc-per-node 2"):
        pick_device()
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == torch.device("cpu")


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert DataConfig().workers("cuda") == 8
    start(monkeypatch, world=4)
    assert DataConfig().workers("cuda") == 2
    assert DataConfig(num_workers=5).workers("cuda") == 5
    start(monkeypatch, world=16)
    assert DataConfig().workers("cuda") == 1
    assert DataConfig().workers("cpu") == 0


def test_a_silent_console(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True, silent=True)
    with console.training("a run") as report:
        report(Report(10, 10, 1, 0, 99.0, 1.0, 0.5))
    with console.counting("files") as tell:
        tell(1, 2)
    console.say("hello")
    assert capsys.readouterr() == ("", "")
    Console(quiet=True).say("hello")
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize("command", [["compare", "quickstart/ast"], ["quickstart"], ["models"]])
def test_commands_that_are_not_shared(
    command: list[str], monkeypatch: pytest.MonkeyPatch, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank in range(2):
        start(monkeypatch, rank, port=port)
        with pytest.raises(SystemExit) as stopped:
            main(command)
        assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith(f"zoo {command[0]}: started by torchrun as 2 processes - expected one")
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
