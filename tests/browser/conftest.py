"""A real browser, and a small comparison that was really trained: what a user looks at, looked at by a test.

`ZOO_SCREENSHOTS=FOLDER python -m pytest tests/browser` keeps the pictures that the tests take.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from zoo.recipe import dump_recipe, find_recipe, read_recipe

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("low", "middle", "high")
_TINY = ["model.n_frames=48", "train.batch_size=4", "train.clips=32", "log.every_clips=8", "evaluate.every_clips=16"]
_TINY += ["log.images=2"]
_TINY_AST = [*_TINY, "model.embed_dim=16", "model.depth=1", "model.num_heads=2"]
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@pytest.fixture(scope="session")
def zoo() -> Callable[..., str]:
    """Runs `python -m zoo …`, checks that it ends well, and gives what it prints."""

    def run(*arguments: object) -> str:
        command = [sys.executable, "-m", "zoo", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=_ENVIRONMENT, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium: the machine's, or the one that playwright has installed."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("no playwright - pip install -c constraints.txt -e '.[dev]'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
        if program is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no browser - install chromium, or run: playwright install chromium")
        # Chromium has no sandbox for root, whom containers run as.
        options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=program, args=options)
        yield started
        started.close()


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Path]:
    """Takes a screenshot of a page into the test's folder, and into ZOO_SCREENSHOTS where that is set."""

    def take(page: Any, name: str, **options: Any) -> Path:
        folder = Path(os.environ.get("ZOO_SCREENSHOTS") or tmp_path)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        page.screenshot(path=path, **options)
        return path

    return take


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory, zoo: Callable[..., str]) -> Path:
    """The folder that `zoo compare` wrote of two small models and two seeds, on tones of three heights."""
    root = tmp_path_factory.mktemp("comparison")
    rng, time = np.random.default_rng(0), np.arange(8_000) / 16_000
    for part, clips in (("train", 6), ("eval", 4)):
        for i, label in enumerate(CLASSES):
            (root / part / label).mkdir(parents=True)
            for clip in range(clips):
                wave = 0.3 * np.sin(2 * np.pi * 300 * 2**i * time + clip) + 0.02 * rng.standard_normal(time.size)
                soundfile.write(root / part / label / f"{part}-{label}-{clip}.wav", wave.astype(np.float32), 16_000)
    recipes = []
    for name, start, overrides in (("small-ast", "ast", _TINY_AST), ("small-cnn", "cnn", _TINY)):
        recipe = read_recipe(find_recipe(f"quickstart/{start}"), [f"name={name}", *overrides])
        recipes.append(root / f"{name}.yaml")
        recipes[-1].write_text(dump_recipe(recipe), encoding="utf-8")
    data = [f"data.train={root / 'train'}", f"data.eval={root / 'eval'}"]
    zoo("compare", *recipes, *data, "--seeds", "2", "--out", root / "runs")
    return root / "runs"


@pytest.fixture(scope="session")
def tensorboard(comparison: Path) -> Iterator[str]:
    """The address of a TensorBoard on the comparison, for this machine alone."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(comparison), "--port", "0"]
    command += ["--host", "127.0.0.1", "--load_fast=false"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=_ENVIRONMENT)
    stop = threading.Timer(120, server.kill)  # so that reading its lines cannot last for ever
    stop.start()
    try:
        assert server.stderr is not None
        lines: list[str] = []
        for line in server.stderr:
            lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                stop.cancel()
                yield found.group()
                break
        else:
            pytest.fail("TensorBoard has not started: " + "".join(lines))
    finally:
        stop.cancel()
        server.terminate()
        server.communicate(timeout=30)
