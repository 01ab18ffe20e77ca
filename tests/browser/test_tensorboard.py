"""TensorBoard on a comparison that was trained: every tab shows it, and nothing that is not a run."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RUNS = ["small-ast/seed-0", "small-ast/seed-1", "small-cnn/seed-0", "small-cnn/seed-1"]
CLIPS = 32  # seen by each run
HELD_OUT = 12
PATIENCE = 60_000  # ms; on a busy machine TensorBoard is slow to answer
Keep = Callable[..., Path]

# All texts below an element, those in shadow trees too, which `innerText` leaves out.
_TEXTS = """root => {
    const found = [];
    const walk = node => {
        if (node.nodeType === Node.TEXT_NODE && node.textContent.trim()) found.push(node.textContent.trim());
        if (node.shadowRoot) walk(node.shadowRoot);
        if (!['STYLE', 'SCRIPT'].includes(node.nodeName)) node.childNodes.forEach(walk);
    };
    walk(root);
    return found;
}"""


class Board:
    """A page with TensorBoard."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self._address = address
        self.refused: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("response", lambda answer: self.refused.append(answer.url) if answer.status >= 400 else None)

    def open(self, tab: str, shown: str) -> Any:
        """Goes to a tab, and gives what matches once something of it is there."""
        self.page.goto(f"{self._address}/#{tab}")
        found = self.page.locator(shown)
        found.first.wait_for(state="visible")
        return found

    def texts(self, element: str) -> list[str]:
        return self.page.locator(element).first.evaluate(_TEXTS)

    def wait_for_lines(self, card: Any, count: int) -> None:
        """Until so many curves are drawn in a card: paths with more than one point."""
        self.page.wait_for_function(
            """([card, count]) => {
                let found = 0;
                const walk = one => {
                    if (one.matches?.('path.line') && /L/.test(one.getAttribute('d') || '')) found += 1;
                    if (one.shadowRoot) walk(one.shadowRoot);
                    [...one.children].forEach(walk);
                };
                walk(card);
                return found >= count;
            }""",
            arg=[card.element_handle(), count],
        )


@pytest.fixture(scope="module")
def page_of_board(browser: Any, tensorboard: str) -> Iterator[Board]:
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    yield Board(context.new_page(), tensorboard)
    context.close()


@pytest.fixture
def board(page_of_board: Board) -> Iterator[Board]:
    page_of_board.refused.clear()
    yield page_of_board
    assert not page_of_board.refused


def test_scalars_of_four_runs_over_clips_and_no_stray_run(board: Board, keep: Keep) -> None:
    cards = board.open("scalars", "tf-scalar-card")
    board.page.locator("tf-runs-selector .item-label-container").first.wait_for()
    names = [text for text in board.texts("tf-runs-selector") if "seed" in text or "/" in text.strip("/")]
    assert sorted(name for name in names if not name.endswith("/")) == RUNS
    for number in range(cards.count()):
        if cards.nth(number).evaluate(_TEXTS)[:1] == ["accuracy"]:
            break
    card = cards.nth(number)
    card.scroll_into_view_if_needed()
    board.wait_for_lines(card, len(RUNS))
    texts = card.evaluate(_TEXTS)
    assert "eval/accuracy" in texts
    ticks = [float(text) for text in card.locator(".x-axis text, svg text").all_text_contents() if text.strip()]
    assert max(ticks) == pytest.approx(CLIPS, abs=4)  # clips, not steps, of which there are 8
    keep(board.page, "tensorboard-scalars")


def test_custom_scalars_have_charts_with_lines_of_all_runs(board: Board, keep: Keep) -> None:
    cards = board.open("custom_scalars", "tf-custom-scalar-multi-line-chart-card")
    titles = [cards.nth(number).evaluate(_TEXTS)[0] for number in range(cards.count())]
    assert {"training", "accuracy", "clips per second", "learning rate", "norm of the gradient"} <= set(titles)
    card = cards.nth(titles.index("accuracy"))
    card.scroll_into_view_if_needed()
    board.wait_for_lines(card, 2 * len(RUNS))
    told = card.evaluate(_TEXTS)
    assert all(f"eval/accuracy ({run})" in told for run in RUNS)
    assert all(f"train/accuracy ({run})" in told for run in RUNS)
    keep(board.page, "tensorboard-custom-scalars")


def test_hparams_has_a_row_a_run_with_its_final_metrics(board: Board, comparison: Path, keep: Keep) -> None:
    board.open("hparams", "tf-hparams-table-view vaadin-grid")
    cells = board.page.locator("tf-hparams-table-view vaadin-grid-cell-content")
    board.page.locator("tf-hparams-table-view").get_by_text("small-cnn/seed-1").first.wait_for()
    texts = [text.strip() for text in cells.all_inner_texts() if text.strip()]
    header = texts[: texts.index(next(text for text in texts if text.startswith("small-")))]
    assert {"model", "lr", "clips"} <= set(header)
    metric = header.index("final/accuracy")
    width = len(header) - 1  # "Show Metrics" has a box and no text
    rows = texts[len(header) :]
    assert sorted(rows[::width]) == RUNS
    for start in range(0, len(rows), width):
        told = json.loads((comparison / rows[start] / "summary.json").read_text())["metrics"]["accuracy"]
        assert float(rows[start + metric - 1]) == pytest.approx(told, abs=1e-4)
    keep(board.page, "tensorboard-hparams")


def test_pr_curves_of_all_runs(board: Board, keep: Keep) -> None:
    cards = board.open("pr_curves", "tf-pr-curve-card")
    board.wait_for_lines(cards.first, len(RUNS))
    texts = cards.first.evaluate(_TEXTS)
    assert "eval/pr/all classes" in texts
    assert sum(text == f"step {CLIPS}" for text in texts) == len(RUNS)
    keep(board.page, "tensorboard-pr-curves")


def _open_all_categories(page: Any, dashboard: str) -> None:
    """The first category of a tab is open, the others are opened here."""
    for button in page.locator(f"{dashboard} tf-category-paginated-view button.heading").all():
        if button.get_attribute("open-button") is None:
            button.click()


def test_images_of_classes_confusions_examples_and_the_hardest_clips(board: Board, keep: Keep) -> None:
    pictures = board.open("images", "tf-image-loader")
    _open_all_categories(board.page, "tf-image-dashboard")
    for tag in ("eval/confusion", "eval/classes", "log_mel/input", "hardest/1"):
        of_tag = pictures.filter(has=board.page.get_by_text(tag, exact=True))
        of_tag.first.wait_for()
        assert of_tag.count() == len(RUNS), tag
        image = of_tag.first.locator("img").first
        image.scroll_into_view_if_needed()
        image.evaluate("one => one.decode()")
        assert image.evaluate("one => Math.min(one.naturalWidth, one.naturalHeight)") > 50, tag
    keep(board.page, "tensorboard-images")


def test_audio_can_be_played(board: Board, keep: Keep) -> None:
    sounds = board.open("audio", "tf-audio-loader")
    _open_all_categories(board.page, "tf-audio-dashboard")
    players = sounds.locator("audio")
    players.first.wait_for()
    durations = players.evaluate_all(
        """all => Promise.all(all.map(one => new Promise((done, fail) => {
            one.preload = 'metadata';
            if (one.readyState >= 1) return done(one.duration);
            one.addEventListener('loadedmetadata', () => done(one.duration));
            one.addEventListener('error', () => fail(new Error('cannot be played')));
            one.load();
        })))"""
    )
    assert len(durations) >= len(RUNS)
    assert all(math.isfinite(seconds) and seconds == pytest.approx(0.5, abs=0.05) for seconds in durations)
    keep(board.page, "tensorboard-audio")


def test_text_has_the_recipe_and_the_model(board: Board, keep: Keep) -> None:
    board.open("text", "tf-text-loader")
    _open_all_categories(board.page, "tf-text-dashboard")
    board.page.locator("tf-text-loader").get_by_text("name: small-ast").first.wait_for()
    texts = " ".join(board.texts("tf-text-dashboard"))
    for word in ("recipe/text_summary", "model/text_summary", "kind: cnn", "hash of the manifest"):
        assert word in texts, word
    keep(board.page, "tensorboard-text")


def test_projector_has_every_held_out_clip(board: Board, keep: Keep) -> None:
    board.open("projector", "iframe")
    inside = board.page.frame_locator("iframe").frame_locator("iframe")  # a plugin of its own, in a frame of a frame
    inside.locator(".numDataPoints").get_by_text(str(HELD_OUT), exact=True).wait_for()
    assert inside.get_by_text(f"{len(RUNS)} runs found").count() >= 1
    keep(board.page, "tensorboard-projector")
