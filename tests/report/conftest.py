"""Run folders as training leaves them, without training: curves, summaries, recipes and scores made up here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from zoo.evaluate.metrics import classification_metrics, finite_or_none
from zoo.evaluate.predictions import PREDICTIONS, Predictions
from zoo.recipe import dump_recipe, find_recipe, read_recipe
from zoo.run.folder import with_absolute_paths

LABELS = ("low", "middle", "high")
FakeRun = Callable[..., Path]


@pytest.fixture
def fake_run(tmp_path: Path) -> FakeRun:
    """Makes the folder of a finished run, or of one that was cut short, in this test's own folder."""
    return maker(tmp_path)


@pytest.fixture(scope="session")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two models of two seeds, for tests that change nothing in them; the clever one is much better."""
    make = maker(tmp_path_factory.mktemp("two_models"))
    return {
        name: [make(name, seed, skill, overrides=(f"optim.lr={lr}",)) for seed in (0, 1)]
        for name, skill, lr in (("plain", 0.5, 0.001), ("clever", 3.0, 0.002))
    }


def maker(root: Path) -> FakeRun:
    """What makes runs in a folder, on a few tones in the same folder."""
    time = np.arange(8_000) / 16_000
    for i, label in enumerate(LABELS):
        (root / "tones" / label).mkdir(parents=True)
        for clip in range(4):
            wave = 0.3 * np.sin(2 * np.pi * 300 * (i + 1) * time + clip)
            soundfile.write(root / "tones" / label / f"{clip}.wav", wave, 16_000)
    data = root / "tones"
    clips = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.wav"))

    def make(
        name: str,
        seed: int = 0,
        skill: float = 1.0,
        *,
        recipe: str = "quickstart/cnn",
        task: str = "single-label",
        overrides: tuple[str, ...] = (),
        is_finished: bool = True,
        only: slice = slice(None),
        **changes: Any,
    ) -> Path:
        """skill: how far true classes stand out of the scores. task: multi-label clips have one or two classes.
        only: which clips are judged. changes: of the summary."""
        folder = root / "runs" / name / f"seed-{seed}"
        folder.mkdir(parents=True)
        metric = "accuracy" if task == "single-label" else "mAP"
        given = [f"name={name}", f"seed={seed}", f"data.train={data}", f"data.eval={data}", f"data.task={task}"]
        given.append(f"evaluate.metric={metric}")
        written = with_absolute_paths(
            read_recipe(find_recipe(recipe), list({one.split("=", 1)[0]: one for one in (*given, *overrides)}.values()))
        )
        (folder / "recipe.yaml").write_text(dump_recipe(written))
        rng = np.random.default_rng([seed, len(name), int(100 * skill)])
        names = tuple(clips[only])
        targets = torch.tensor([[float(name.startswith(f"{label}/")) for label in LABELS] for name in names])
        if task == "multi-label":
            targets[::2, 0] = 1.0
        scores = torch.from_numpy(rng.normal(size=targets.shape)).float() + skill * targets
        with (folder / "metrics.jsonl").open("w") as file:
            for step in range(1, 9 if is_finished else 4):
                head = {"clips": 100 * step, "step": 10 * step, "epoch": 0, "seconds": 2.0 * step}
                speed = {"perf/clips_per_second": 50.0, "perf/tflops": 50.0 * 3e9 / 1e12, "health/skipped_steps": 0}
                loss = {"loss/total": 2.0 / step + 0.1 * rng.random(), "optim/lr": 1e-3 / step}
                file.write(json.dumps(head | loss | speed) + "\n")
                if step % 2 == 0:
                    file.write(json.dumps(head | {"eval/accuracy": skill / 4 * (1 - 0.5**step)}) + "\n")
        if not is_finished:
            return folder
        found = Predictions(names, scores, targets, LABELS, "multi-label" if task == "multi-label" else "single-label")
        found.write(folder / PREDICTIONS)
        metrics = finite_or_none(classification_metrics(scores, targets, found.task, names))
        summary = {
            "name": name,
            "command": "finetune",
            "kind": written.model.kind,
            "task": task,
            "labels": list(LABELS),
            "seed": seed,
            "init": None,
            "parameters": 100_000 * len(name),
            "flops_per_clip": 10**9,
            "clips": 800,
            "steps": 80,
            "seconds": 16.0 + seed,
            "clips_per_second": 50.0,
            "num_train_clips": len(clips),
            "num_eval_clips": len(names),
            "front_end": written.front_end.model_dump(mode="json"),
            "device": "a processor",
            "versions": {"torch": "2.14"},
            "warnings": [],
            "metric": metric,
            "metrics": {key: value for key, value in metrics.items() if isinstance(value, int | float | None)},
            "chance": {"accuracy": 1 / 3},
            "judged_on": "eval",
            "evaluation": "last weights; whole clips",
            "finished": "2026-01-01 00:00:00",
        }
        (folder / "summary.json").write_text(json.dumps(summary | changes))
        return folder

    return make
