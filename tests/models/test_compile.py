"""torch.compile: the same losses as without, in one graph, and no new graph for every width.

The first test of each kind is quick; `-m slow` compiles all families for this machine, which takes minutes.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo

PROGRAM = Path(__file__).with_name("compiled_run.py")
ALL = [
    f"{case}{lengths}"
    for case in ("ast", "passt", "ssast", "pretrain", "visible", "cnn", "recompute")
    for lengths in ("", "+lengths")
]


def run(*arguments: str) -> list[dict[str, Any]]:
    root = Path(zoo.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); sys.argv = {[str(PROGRAM), *arguments]!r}; "
    code += f"import runpy; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=1500)
    assert done.returncode == 0, done.stderr[-5000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["case"] for report in reports] == list(arguments[1:])
    return reports


def check(report: dict[str, Any], tolerance: float) -> None:
    """Four steps and an evaluation: one graph for each, none broken, and the losses of the eager model."""
    assert report["breaks"] == {}
    assert report["graphs"] == 2
    found, expected = (torch.tensor(report[name], dtype=torch.float64) for name in ("compiled", "eager"))
    assert len(set(report["eager"])) == 5  # it learns, and sees other clips at every step
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)


def test_ast_compiled_for_this_machine_has_the_same_losses() -> None:
    """With inductor, clips of different length included, whose mask it could not compile on a CPU as it was written."""
    (report,) = run("inductor", "ast+lengths")
    check(report, 1e-5)


def test_other_families_are_one_graph_with_the_same_losses() -> None:
    """Traced forwards and backwards, and then run by torch's own kernels: bit for bit the same."""
    for report in run("aot_eager", "passt+lengths", "pretrain+lengths", "visible+lengths"):
        check(report, 0.0)


@pytest.mark.parametrize(
    "case", ["ast", *(pytest.param(case, marks=pytest.mark.slow) for case in ("passt", "pretrain", "visible"))]
)
def test_widths_share_graphs(case: str) -> None:
    """One for the first width, and then one or two for all others."""
    (report,) = run("widths", case)
    assert 2 <= report["graphs"]["training"] <= 3
    assert 2 <= report["graphs"]["evaluation"] <= 3


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL)
def test_every_family_compiled_for_this_machine_has_the_same_losses(case: str) -> None:
    (report,) = run("inductor", case)
    check(report, 1e-4)
