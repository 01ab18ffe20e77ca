"""Every golden of the folder: the zoo's numbers are those of the released code, each within the golden's tolerance.

`ZOO_GOLDENS=FOLDER pytest tests/golden` takes another folder than the one in the repository.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from golden import FOLDER, Golden, fail_on_problems, golden_paths
from kinds import KINDS

PATHS = golden_paths()


def test_the_folder_is_not_empty() -> None:
    assert PATHS, f"{FOLDER}: no golden in it"


def test_no_numbers_lie_in_the_folder_that_nothing_describes() -> None:
    alone = [path for path in FOLDER.rglob("*.npz") if not path.with_suffix(".json").exists()]
    assert not alone, f"{alone}: the .json beside it is missing"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(FOLDER).with_suffix("")))
def test_numbers_are_those_of_the_released_code(
    path: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    name = str(path.relative_to(FOLDER).with_suffix(""))
    kind = json.loads(path.read_text()).get("kind")
    record_property("golden", [name, str(kind)])
    assert kind in KINDS, f"{path}: unknown kind {kind!r}"
    golden = Golden(path)
    try:
        subject = KINDS[kind].build(golden, tmp_path)
    finally:
        for file in tmp_path.iterdir():  # up to 350 MB of weights each
            file.unlink()
    verdicts = golden.verdicts(KINDS[kind].compute(golden, subject))
    worst = max(verdicts, key=lambda verdict: verdict.share)
    record_property("golden_compared", [len(verdicts), worst.share, worst.output])
    fail_on_problems(name, verdicts)
