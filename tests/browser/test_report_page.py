"""The report of a comparison that was trained, opened from its file in a browser without a network."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PARTS = ["result", "curves", "compute", "classes", "confusion", "clips", "health", "recipes", "runs"]
Keep = Callable[..., Path]


@pytest.fixture(scope="module")
def report(comparison: Path, zoo: Callable[..., str]) -> Path:
    told = json.loads(zoo("report", comparison, "--json"))
    assert [(one["name"], len(one["runs"]), one["unfinished"]) for one in sorted(told["models"], key=str)] == [
        ("small-ast", 2, []),
        ("small-cnn", 2, []),
    ]
    path = Path(told["report"])
    assert path == comparison / "report.html"
    assert path.stat().st_size == told["bytes"] < 5_000_000
    return path


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """Opens the report, and checks at the end that it asked for nothing and complained about nothing."""
    contexts, complaints, requests = [], [], []

    def open_page(**options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
        context.set_offline(True)
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert requests, "the page itself is a request"
    outside = [url for url in requests if url != report.as_uri() and not url.startswith("data:")]
    assert not outside


def test_parts_headings_and_rows(opened: Callable[..., Any], keep: Keep) -> None:
    page = opened(viewport={"width": 1280, "height": 1000})
    assert page.locator("main > section").evaluate_all("all => all.map(one => one.id)") == PARTS
    assert page.locator("h1").inner_text() in ("small-ast and small-cnn", "small-cnn and small-ast")
    assert page.locator("nav a").count() == len(PARTS)
    rows = page.locator("#result table.result tbody tr")
    names = rows.locator("th").all_inner_texts()
    assert sorted(names[:2]) == ["small-ast", "small-cnn"]
    assert names[2] == "chance"
    assert rows.nth(0).locator("svg.strip circle").count() == 2  # a dot a run
    assert page.locator("#runs details tbody tr").count() == 4
    page.locator("nav a", has_text="Hardest clips").click()
    page.wait_for_function("Math.abs(document.querySelector('#clips').getBoundingClientRect().top) < 120")
    keep(page, "report-clips")
    page.evaluate("window.scrollTo({top: 0, behavior: 'instant'})")
    keep(page, "report-top")


def test_pictures_and_sounds_are_there(opened: Callable[..., Any]) -> None:
    page = opened(viewport={"width": 1280, "height": 1000})
    plots = page.locator("figure svg, .card > svg")
    assert plots.count() >= 20
    # What is drawn lies inside what is shown, and has a description.
    boxes = plots.evaluate_all(
        """all => all.filter(one => one.checkVisibility()).map(one => {
            const box = one.getBoundingClientRect();
            return [box.width, box.height, one.getAttribute('aria-label')?.length, one.querySelectorAll('path').length];
        })"""
    )
    assert all(width > 150 and height > 80 and told > 5 and paths > 3 for width, height, told, paths in boxes), boxes
    log_mels = page.locator(".card svg image")
    assert log_mels.count() == 12
    sizes = log_mels.evaluate_all(
        """all => Promise.all(all.map(async one => {
            const copy = new Image(); copy.src = one.href.baseVal; await copy.decode();
            return [copy.naturalWidth, copy.naturalHeight];
        }))"""
    )
    assert all(width > 20 and height > 20 for width, height in sizes), sizes
    assert page.locator("img").evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0)")
    sounds = page.locator("audio")
    assert sounds.count() == 12
    page.wait_for_function("[...document.querySelectorAll('audio')].every(one => one.readyState >= 1)")
    seconds = sounds.evaluate_all("all => all.map(one => one.duration)")
    assert seconds == pytest.approx([0.5] * 12, abs=0.01)
    assert sounds.evaluate_all("all => all.every(one => one.error === null && one.controls)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(opened: Callable[..., Any], keep: Keep, scheme: str) -> None:
    page = opened(viewport={"width": 360, "height": 780}, color_scheme=scheme, device_scale_factor=2, is_mobile=True)
    for fold in page.locator("details").all():
        fold.evaluate("one => one.open = true")
    widths = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, window.innerWidth]")
    assert widths == [360, 360, 360]
    keep(page, f"report-phone-{scheme}")


def test_text_stands_out_from_its_ground_in_light_and_dark(opened: Callable[..., Any]) -> None:
    """WCAG's contrast of 4.5 for all text of the page and of its plots."""
    for scheme in ("light", "dark"):
        page = opened(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
        weak = page.evaluate(_CONTRASTS)
        assert weak["checked"] > 200
        assert not weak["weak"], (scheme, weak["weak"][:5])


_CONTRASTS = """() => {
    const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = one => {
        for (let at = one; at; at = at.parentElement) {
            const found = parse(getComputedStyle(at).backgroundColor);
            if (found.length >= 3 && found[3] !== 0) return found;
        }
        return [255, 255, 255];
    };
    let checked = 0;
    const weak = [];
    for (const one of document.querySelectorAll('p, h1, h2, h3, th, td, li, a, summary, figcaption, svg text')) {
        if (!one.textContent.trim() || !one.checkVisibility()) continue;
        const style = getComputedStyle(one);
        const isDrawn = one.namespaceURI.endsWith('svg');
        const ink = parse(isDrawn ? style.fill : style.color);
        if (isDrawn && ink[0] === 255 && ink[1] === 255 && ink[2] === 255) continue;  // on a coloured cell
        const [a, b] = [light(ink), light(ground(one))].sort((x, y) => y - x);
        checked += 1;
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5) weak.push([one.textContent.trim().slice(0, 40), contrast]);
    }
    return {checked, weak};
}"""
