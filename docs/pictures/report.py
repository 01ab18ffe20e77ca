r"""Takes README's pictures of a finished comparison in a browser: python docs/pictures/report.py runs/compare

README's are of three small models on ESC-10 (400 clips, fold 5 held out), two seeds each:

zoo compare quickstart/cnn quickstart/ast quickstart/ssast 'data.train={path: ESC10.csv, not_fold: 5}' \
    'data.eval={path: ESC10.csv, fold: 5}' --seeds 2 train.clips=1200 evaluate.every_clips=300 log.every_clips=100
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from zoo.use.report import make_report

MOST_BYTES = 300_000
COLOURS = 256  # of the palette of a picture that would be larger

folder, here = Path(sys.argv[1]), Path(__file__).parent


def take(page: Page, name: str) -> None:
    """A screenshot of what is to be seen of the page."""
    path = here / f"{name}.png"
    page.screenshot(path=path)
    picture = Image.open(path).convert("RGB")
    picture.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


report = make_report([folder], title="Three small models on ESC-10")
command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--host", "127.0.0.1"]
board = subprocess.Popen([*command, "--load_fast=false"], stderr=subprocess.PIPE, text=True)
assert board.stderr is not None
address = next(found.group() for line in board.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1180, "height": 1240})
    page.goto(Path(report["report"]).absolute().as_uri())
    take(page, "report")
    page.goto(Path(report["report"]).absolute().as_uri() + "#clips")
    page.wait_for_timeout(1500)
    take(page, "report-clips")
    page = browser.new_page(viewport={"width": 1400, "height": 860})
    page.goto(address)
    page.wait_for_timeout(30_000)  # until TensorBoard has read all runs
    page.goto(f"{address}/#custom_scalars")
    page.reload()
    page.locator("tf-custom-scalar-multi-line-chart-card").first.wait_for(timeout=60_000)
    page.wait_for_timeout(8_000)  # until the curves are drawn
    take(page, "tensorboard")
    browser.close()
board.terminate()
