"""What two processes show of a classifier: what one shows, once, and nobody waits for the other."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.distributed.conftest import run, torchrun
from tests.distributed.one_step import TINY


def test_the_main_process_shows_what_one_process_shows(sounds: Path, tmp_path: Path) -> None:
    small = [*TINY, "train.batch_size=6", "train.clips=12", "evaluate.every_clips=6", "log.images=2"]
    shared = ["finetune", "quickstart/ast", f"data.train={sounds}", f"data.eval={sounds}", *small]
    found = {}
    for processes in (1, 2):
        out = tmp_path / str(processes)
        run(torchrun(processes, "-m", "zoo", *shared, f"--out={out}"))
        assert len(list(out.rglob("*tfevents*"))) == 1
        tags = EventAccumulator(str(out)).Reload().Tags()
        found[processes] = {kind: set(tags[kind]) for kind in ("images", "audio", "tensors")}
        rows = [line.split("\t") for line in (out / "projector/clips.tsv").read_text().splitlines()]
        found[processes] |= {"clips": [row[-1] for row in rows], "loss": [float(row[-2]) for row in rows[1:]]}
    assert "sound/hardest-2" in found[1]["audio"]
    assert found[2].pop("loss") == pytest.approx(found[1].pop("loss"), rel=1e-3)
    assert found[1] == found[2]
