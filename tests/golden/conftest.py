"""The tests of this folder share the reader `golden` and the package `kinds`; their table ends the run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from golden import FOLDER, golden_paths


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which goldens were compared, and how far off the worst number of each is as a share of what is tolerated."""
    rows, num_compared, has_run = [], 0, False
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            has_run = has_run or "golden/test_goldens.py" in getattr(report, "nodeid", "")
            properties = dict(getattr(report, "user_properties", []))
            if "golden" not in properties:
                continue
            name, kind = properties["golden"]
            compared = properties.get("golden_compared")
            num_compared += outcome == "passed" and compared is not None
            if compared is None:
                rows.append((name, kind, "", "-", "not compared"))
            else:
                num_outputs, share, output = compared
                told = f"{share:.3f} ({output})"
                rows.append((name, kind, str(num_outputs), told, "equal" if outcome == "passed" else "differs"))
    if not has_run:
        return
    table = [("golden", "kind", "outputs", "worst difference / tolerance", ""), *sorted(rows)]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    terminalreporter.section(f"goldens in {FOLDER}")
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        terminalreporter.write_line("  ".join([*cells, row[4]]).rstrip())
    terminalreporter.write_line(f"{len(golden_paths())} goldens, {num_compared} compared")
