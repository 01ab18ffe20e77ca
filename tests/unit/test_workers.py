"""Work side by side: in order, with so many threads, and stopped in good order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.workers_work import crashing, doubled, dying, interrupting_the_parent, refusing, until_interrupted
from zoo.compare.workers import Work, Workers
from zoo.errors import DataError, ZooError
from zoo.train.interrupt import Interrupted


class Heard:
    """A console that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.counted: list[tuple[int, int]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def counting(self, title: str, unit: str = "clips") -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: self.counted.append((done, total))


def test_results_come_in_order_from_processes_that_are_used_again() -> None:
    console = Heard()
    with Workers(2, threads=1) as workers:
        works = [Work(f"work {i}", doubled, (i,), size=1 + i) for i in range(6)]
        found = workers.results(works, console, "doubling", told=lambda one: f"is {one['value']}")
        again = workers.results(works[:1], console, "doubling")
    assert [one["value"] for one in found] == [0, 2, 4, 6, 8, 10]
    assert {one["threads"] for one in found} == {1}
    processes = {one["process"] for one in found}
    assert len(processes) <= 2
    assert again[0]["process"] in processes
    assert "[1 of 6] work 5: is 10" in console.said or "[1 of 6] work 4: is 8" in console.said, "the largest first"
    assert console.counted[-1] == (1, 1)
    assert (21, 21) in console.counted


def test_what_ends_a_work_ends_all_with_its_own_error() -> None:
    console = Heard()
    with Workers(1, threads=1) as workers, pytest.raises(DataError, match=r"^m\.csv: no clip$"):
        workers.results([Work("refused", refusing, ("m.csv: no clip",))], console, "x")
    with Workers(1, threads=1) as workers, pytest.raises(RuntimeError, match="our own bug"):
        workers.results([Work("crash", crashing, ())], console, "x")
    with Workers(1, threads=1) as workers, pytest.raises(ZooError, match=r"exit code 9.*fewer --jobs"):
        workers.results([Work("death", dying, ())], console, "x")


def test_a_signal_is_handed_on_and_waited_for(tmp_path: Path) -> None:
    begun, saved = tmp_path / "begun", tmp_path / "saved"
    works = [
        Work("training", until_interrupted, (begun, saved), size=2),
        Work("signal", interrupting_the_parent, (begun,)),
    ]
    with Workers(2, threads=1) as workers, pytest.raises(Interrupted) as stopped:
        workers.results(works, Heard(), "x")
    assert saved.exists(), "it was not waited for"
    assert stopped.value.exit_code == 130
