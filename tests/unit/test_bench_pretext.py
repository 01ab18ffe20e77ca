"""`zoo bench pretext`: what each way trains, what it is counted to cost, and that a report is one."""

from typing import Any

import pytest
import torch

from zoo.errors import DataError, RecipeError
from zoo.models.cost import build_on_meta, training_flops_per_clip
from zoo.models.registry import preset_config
from zoo.use.bench.pretext import FORMS, RELEASED, PretextStep, bench_pretext, config_of, ways
from zoo.use.console import Console
from zoo.use.show.bench import show_bench

SMALL: dict[str, Any] = {"size": "tiny", "n_frames": 64, "masks": 2}


def test_the_published_lengths_are_the_presets() -> None:
    for form in FORMS:
        assert config_of(form, "one-pass", "base", 1024, 4) == preset_config(f"ssast-{form}-base")
    assert config_of("patch", "one-pass", "tiny", 192, 4).num_masked == 75  # type: ignore[attr-defined]  # of 96


def test_ways_of_one_mask_are_left_out_of_those_of_several() -> None:
    assert list(ways(4)) == [
        *("released", "two-pass", "one-pass", "one-pass, 4 masks", "visible", "visible, 4 masks"),
    ]
    assert list(ways(1)) == ["released", "two-pass", "one-pass", "visible"]


@pytest.mark.parametrize("form", FORMS)
def test_every_way_takes_steps_and_trains_everything(form: str) -> None:
    for way in ways(2):
        work = PretextStep(2, 2, "fp32", "cpu", form=form, way=way, **SMALL)
        before = [p.detach().clone() for p in work.step._model.parameters()]
        assert work.run() == 4
        changed = [not torch.equal(p, old) for p, old in zip(work.step._model.parameters(), before, strict=True)]
        assert all(changed), way
        assert work.log_mel.shape == (2, 128, 64)


def test_operations_are_counted_for_each_way() -> None:
    flops = {
        way: training_flops_per_clip(build_on_meta(config_of("patch", way, "base", 1024, 4), pretraining=True))
        for way in ways(4)
    }
    assert flops["two-pass"] == flops[RELEASED]
    assert flops["two-pass"] / flops["one-pass"] == pytest.approx(2, rel=0.02)
    assert flops["one-pass, 4 masks"] / flops["one-pass"] == pytest.approx(4, rel=0.02)
    assert flops["visible"] / flops["one-pass"] == pytest.approx(0.25, rel=0.05)
    assert flops["visible, 4 masks"] / flops["visible"] == pytest.approx(4, rel=0.02)


class _Here:
    """A contender in this process."""

    def __init__(self, build: Any, options: dict[str, Any], threads: int) -> None:
        self.work, self.start_seconds = build(**options), 0.0

    def close(self) -> None:
        self.work.close()

    def facts(self) -> dict[str, Any]:
        return {"matmul_tflops": self.work.matmul, "step_mib": None, "waiting_share": None}


def _race_of(seconds: dict[str, float]) -> Any:
    def raced(contenders: dict[str, Any], rounds: int, on_round: Any) -> dict[str, Any]:
        for _ in range(rounds * len(contenders)):
            on_round()
        rates = {way: 1 / seconds.get(way, 1.0) for way in contenders}
        return {
            way: {
                "clips_per_second": rate,
                "clips_per_second_spread": [rate, rate],
                "clips_per_core_second": None,
                "peak_memory_mib": None,
            }
            for way, rate in rates.items()
        }

    return raced


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("zoo.use.bench.pretext.Contender", _Here)
    monkeypatch.setattr("zoo.use.bench.pretext.race", _race_of({"visible": 0.1, "one-pass, 2 masks": 2.0}))
    counted: list[tuple[int, int]] = []
    found = bench_pretext(
        ["frame"],
        **{"size": "tiny", "batch": 1, "n_frames": 64, "masks": 2, "steps": 1, "precision": "fp32", "compiled": False},
        **{"device": "cpu", "threads": 1, "rounds": 2},
        on_progress=lambda done, total: counted.append((done, total)),
    )
    assert counted == [(number, 12) for number in range(1, 13)]
    return found


def test_what_a_report_says(report: dict[str, Any]) -> None:
    (row,) = report["rows"]
    assert (row["form"], row["patches"], row["masked"]) == ("frame", 32, 25)
    assert row["ratios"]["visible"] == pytest.approx(10)
    assert RELEASED not in row["ratios"]
    assert set(row["ratios_per_core"].values()) == {None}
    assert row["ways"]["one-pass, 2 masks"]["masks_per_second"] == pytest.approx(1.0)
    for way in row["ways"].values():
        assert way["tflops"] == pytest.approx(way["clips_per_second"] * way["flops_per_clip"] / 1e12)
        assert way["utilisation"] == pytest.approx(way["tflops"] / report["matmul_tflops"])
    assert report["described"].keys() == row["ways"].keys()


def test_the_table(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.out.width = 200
    show_bench(console, report)
    told = "".join(capsys.readouterr())
    assert "10.00×" in told
    assert "frame: 25 of 32 patches masked" in told
    assert "visible, 2 masks: the two together" in told


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"forms": ["squares"]}, DataError, "FORM: squares - expected patch, frame or both"),
        ({"forms": ["patch", "patch"]}, DataError, "FORM: patch, patch - expected"),
        ({"forms": []}, DataError, "FORM: none - expected"),
        ({"precision": "fp8"}, RecipeError, "--precision: 'fp8' - expected"),
        ({"n_frames": 15}, RecipeError, "patch_size: found 16x16"),
    ],
)
def test_what_cannot_be_raced_is_told_before_anything_starts(changed: dict[str, Any], error: Any, text: str) -> None:
    options: dict[str, Any] = {
        **{"forms": ["patch"], "size": "tiny", "batch": 1, "n_frames": 64, "masks": 2, "steps": 1, "rounds": 1},
        **{"precision": "fp32", "compiled": False, "device": "cpu", "threads": 1, "on_progress": lambda *_: None},
    }
    with pytest.raises(error, match=text):
        bench_pretext(**{**options, **changed})
