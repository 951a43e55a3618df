"""The built book in a real browser, from the disk: Debian's Chromium, driven by Playwright.

Skipped where there is no Chromium: `apt-get install chromium` in Debian, or set CHROMIUM to a browser's path.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import axe_playwright_python
import pytest
import yaml
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PHONE = {"width": 375, "height": 800}

pytestmark = [
    pytest.mark.book,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; Debian's package of that name has it"),
]


def names() -> list[str]:
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    listed = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *(page["file"] for page in [*listed, *(s for c in listed for s in c.get("sections", ()))])]


PAGES = names()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium has none to offer to root
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield found
        found.close()


@pytest.fixture
def visit(browser, site):
    """Opens a page of the site; at the end of the test nothing may have gone wrong or out on any of them."""
    context, told = browser.new_context(viewport={"width": 1280, "height": 900}), []

    def open_page(name: str):
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("requestfailed", lambda request: told.append(f"failed: {request.url}"))
        page.on("request", lambda request: told.append(f"outside: {request.url}") if outside(request.url) else None)
        page.goto(f"{site.as_uri()}/{name}")
        return page

    yield open_page
    assert not told
    context.close()


def outside(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


def faults(page, **options) -> list[str]:
    """What axe finds that is serious or critical, anywhere on the page. It loads style sheets unless told not to."""
    page.evaluate(AXE)
    found = page.evaluate("options => axe.run(options)", {"preload": False, "resultTypes": ["violations"]} | options)
    return [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"][:3]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_page(visit, name):
    """Loads by itself and without an error, draws its formulas, shows its pictures, and fits a phone's screen."""
    page = visit(f"{name}.html")
    assert page.title()
    drawn, wanted = page.locator("mjx-container"), page.locator("article .math").count()
    if wanted:
        expect(drawn.first).to_be_attached()
        page.wait_for_function("wanted => document.querySelectorAll('mjx-container').length >= wanted", arg=wanted)
    assert not page.locator("mjx-merror").count()
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "it scrolls sideways"


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(visit, name):
    """All of a page, what is folded too: by light, what colours can spoil by dark, what narrowness can on a phone."""
    page = visit(f"{name}.html")
    page.add_style_tag(content="* { animation: none !important; transition: none !important; }")  # else half faded in
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert not faults(page)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert not faults(page, runOnly=["color-contrast", "link-in-text-block"])
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(1000)  # the theme waits, too, before it lets the keys scroll what has become too wide
    assert not faults(page, runOnly=["scrollable-region-focusable", "target-size"])


def test_search_finds_a_loss(visit):
    page = visit("index.html")
    page.wait_for_url("**/intro.html")
    page.locator("button.search-button__button, button.search-button-field").first.click()
    box = page.locator("input[name=q]").first
    box.fill("circle loss")
    box.press("Enter")
    found = page.locator("ul.search li a[href*='chapters/along.html']")  # results come one by one
    expect(found.filter(has_text="trick by trick").first).to_be_visible(timeout=20_000)


def strips(page) -> dict[str, list[str]]:
    """What a user sees of each ranking: its name, then the label of every picture."""
    rows = page.locator(".explorer-row").all()
    read = "list => list.map(picture => picture.getAttribute('aria-label'))"
    return {row.locator("strong").inner_text(): row.locator("[role=img]").evaluate_all(read) for row in rows}


def test_explorer_by_mouse(visit):
    page = visit("explorer.html")
    expect(page.locator("#explorer-query-name")).to_contain_text("Query 0")
    first = strips(page)
    kinds = [name.split(",")[0].split(":")[0] for name in first]
    assert kinds[:4] == ["Plain distance", "Re-ranked distance", "VTRM", "VTRM"] and {*kinds[4:]} == {"Fusion"}
    fusions = page.locator(".explorer-note").all_inner_texts()
    assert len(fusions) == len(kinds) - 4
    assert all(note.startswith("Each walks by Local-2") and "R50-ibn 6x Schedule" in note for note in fusions)
    page.locator("#explorer-sort").select_option("hardest")
    page.locator("#explorer-queries li").nth(2).click()
    chosen = strips(page)
    assert chosen != first and "query=" in page.url and "sort=hardest" in page.url
    page.locator("#explorer-reranked").uncheck()
    assert "on plain distances" in list(strips(page))[2] and "reranked=0" in page.url
    page.locator("#explorer-after").click()
    assert strips(page) != chosen
    for link in page.locator(".explorer-row a").evaluate_all("links => links.map(link => link.getAttribute('href'))"):
        record = visit(link)
        assert link.startswith("runs/") and record.evaluate("document.getElementById(location.hash.slice(1)) !== null")


def test_explorer_by_keyboard(visit):
    page = visit("explorer.html")
    page.locator("#explorer-queries").focus()
    page.keyboard.press("End")
    last = page.evaluate("EXPLORER_DATA.query.person.length - 1")
    expect(page.locator("#explorer-query-name")).to_contain_text(f"Query {last}")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#explorer-query-name")).to_contain_text(f"Query {last - 1}")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#explorer-window-name")).to_have_text("Local-2")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#explorer-window-name")).to_have_text("Local-2 w. ref")
    assert page.url.endswith(f"#query={last - 1}&window=2&reference=1")
    shown = strips(page)
    again = visit(page.url.split("/")[-1])  # a deep link
    assert strips(again) == shown


def test_explorer_on_a_phone(visit):
    page = visit("explorer.html#query=3&window=10")
    page.set_viewport_size(PHONE)
    page.locator("#explorer-after").tap() if page.evaluate("'ontouchstart' in window") else page.click(
        "#explorer-after"
    )
    expect(page.locator("#explorer-query-name")).to_contain_text("Query 4")
    rows = page.locator("#explorer-rows")
    assert rows.evaluate("rows => rows.scrollWidth > rows.clientWidth && rows.clientWidth <= 375")


def test_a_link_that_asks_for_what_is_not_there_shows_the_first_query(visit):
    page = visit("explorer.html#query=99999&window=7&reranked=maybe")
    expect(page.locator("#explorer-query-name")).to_contain_text("Query 0")
    expect(page.locator("#explorer-window-name")).to_have_text("Local-1")
