"""The book: builds without a network and without a warning, and its pages are whole, light and readable for everyone.

One build serves all tests, see `conftest.py`. Leave it out with `pytest -m "not book"`.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
MEGABYTE = 1_000_000

pytestmark = pytest.mark.book


@pytest.fixture(scope="session")
def pages(site) -> dict[str, BeautifulSoup]:
    """Each page by its path in the site."""
    files = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    return {path.relative_to(site).as_posix(): BeautifulSoup(path.read_text(), "html.parser") for path in files}


def toc_files() -> list[str]:
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text())
    listed = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    below = [section for chapter in listed for section in chapter.get("sections", ())]
    return [toc["root"], *(page["file"] for page in listed + below)]


def chapters() -> list[str]:
    return [Path(name).name for name in toc_files() if name.startswith("chapters/")]


def test_book_shows_every_chapter():
    assert sorted(chapters()) == sorted(path.stem for path in (ROOT / "chapters").glob("*.ipynb"))


@pytest.mark.parametrize("chapter", chapters())
def test_executed_chapter_is_its_source_executed(chapter):
    """Nobody edits what papermill wrote, and a change of the source is executed anew."""
    source = json.loads((ROOT / "chapters" / f"{chapter}.ipynb").read_text())["cells"]
    executed = json.loads((BOOK / "chapters" / f"{chapter}.ipynb").read_text())["cells"]
    ours = [cell for cell in executed if "injected-parameters" not in cell["metadata"].get("tags", ())]
    assert [(c["cell_type"], text_of(c)) for c in ours] == [(c["cell_type"], text_of(c)) for c in source]
    counts = [cell["execution_count"] for cell in executed if cell["cell_type"] == "code" and text_of(cell).strip()]
    assert counts == list(range(1, len(counts) + 1)), "cells were not run once, from top to bottom"


@pytest.mark.parametrize("chapter", chapters())
def test_every_figure_of_a_chapter_was_drawn(chapter):
    cells = json.loads((BOOK / "chapters" / f"{chapter}.ipynb").read_text())["cells"]
    wanted = [cell for cell in cells if "figure" in cell["metadata"].get("mystnb", {})]
    kinds = [{kind.split("/")[0] for out in cell["outputs"] for kind in out.get("data", {})} for cell in wanted]
    assert wanted and all("image" in found for found in kinds)


def text_of(cell: dict) -> str:
    return "".join(cell["source"])


def test_every_page_is_built(site):
    assert all((site / f"{name}.html").is_file() for name in ("index", *toc_files()))


def test_pages_are_light(site):
    heavy = {path.name: path.stat().st_size for path in site.rglob("*.html") if path.stat().st_size >= MEGABYTE}
    assert not heavy
    assert (site / "searchindex.js").stat().st_size < MEGABYTE, "every page loads it"
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 25 * MEGABYTE


def test_nothing_is_loaded_from_elsewhere(site, pages):
    """Links may lead to the web; scripts, styles, fonts and pictures are here."""
    told = []
    for name, page in pages.items():
        for tag in page.find_all(["script", "img", "iframe", "source", "video", "audio", "object", "embed"]):
            told += [f"{name}: {url}" for url in (tag.get("src"), tag.get("data")) if elsewhere(url)]
        told += [f"{name}: {tag['href']}" for tag in page.find_all("link", href=True) if elsewhere(tag["href"])]
    for style in site.rglob("*.css"):
        urls = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", style.read_text())
        told += [f"{style.name}: {url}" for found in urls for url in found if elsewhere(url)]
    assert not told


def elsewhere(url: str | None) -> bool:
    return bool(url) and re.match(r"(https?:)?//", url) is not None


def test_links_within_the_book_lead_somewhere(site, pages):
    told = []
    ids = {name: {tag["id"] for tag in page.find_all(id=True)} for name, page in pages.items()}
    for name, page in pages.items():
        for tag, attribute in (("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")):
            for found in page.find_all(tag, attrs={attribute: True}):
                path, _, anchor = found[attribute].partition("#")
                path = path.partition("?")[0]
                if re.match(r"[a-z]+:|//", path):
                    continue
                target = ((site / name).parent / path).resolve() if path else (site / name).resolve()
                if not target.is_file():
                    told.append(f"{name}: {found[attribute]}")
                elif anchor and tag == "a" and (key := target.relative_to(site.resolve()).as_posix()) in pages:
                    told += [] if anchor in ids[key] else [f"{name}: {found[attribute]}"]
    assert not told


def test_every_picture_has_a_text(pages):
    """A description, not the file's name that Sphinx puts in its place."""
    pictures = [(name, tag) for name, page in pages.items() for tag in page.find_all("img")]
    told = [f"{name}: {tag.get('src')}" for name, tag in pictures if not described(tag)]
    assert not told


def described(picture) -> bool:
    text = picture.get("alt", "").strip()
    return len(text) > 10 and text not in picture["src"] and not text.startswith("_images")


def test_every_figure_and_table_has_a_caption(pages):
    told = []
    for name, page in pages.items():
        told += [f"{name}: {text(tag)}" for tag in page.find_all("table") if not (tag.caption and text(tag.caption))]
        told += [f"{name}: {tag.get('id')}" for tag in page.find_all("figure") if not tag.find("figcaption")]
    assert not told


def text(tag) -> str:
    return tag.get_text(" ", strip=True)[:80]


def test_a_measured_number_is_not_broken_over_lines(pages):
    """Its deviation and the bounds of its interval stand on one line: spaces between them do not break."""
    cells = [cell.get_text() for page in pages.values() for cell in page.select("td")]
    assert sum("\u00a0±\u00a0" in cell for cell in cells) > 100
    assert not [cell for cell in cells if re.search(r"\d ± ?\d|\d ?± \d|\[[+−]?[\d.]+, [+−]?[\d.]+\]", cell)]


def test_no_page_shows_an_error(pages):
    for name, page in pages.items():
        article = page.find("article")
        if article is None:
            continue
        assert not article.select(".output.error, .traceback, .stderr, .system-message, .problematic"), name
        assert "Traceback (most recent call last)" not in article.get_text(), name


def test_formulas_are_drawn_by_what_is_in_the_book(site, pages):
    """MathJax starts from a folder beside _static, with its fonts, also on pages in sub-folders."""
    used = {name: page for name, page in pages.items() if page.select(".math")}
    assert any("/" in name for name in used), "no chapter has a formula"
    for name, page in used.items():
        scripts = [tag["src"].partition("?")[0] for tag in page.find_all("script", src=True) if "mathjax" in tag["src"]]
        assert scripts, name
        for script in scripts:
            folder = ((site / name).parent / script).resolve().parent
            assert list((folder / "output" / "chtml" / "fonts" / "woff-v2").glob("*.woff")), name


def test_every_link_to_a_record_leads_to_its_training(site, pages):
    """From a table of a chapter, or of all tables, to the record's line; beneath its heading stand curve and recipe."""
    links = [
        (name, tag["href"])
        for name, page in pages.items()
        if not name.startswith("runs/")
        for tag in page.select("table a[href]")
        if "runs/" in tag["href"] and "#" in tag["href"]
    ]
    assert len(links) > 500 and {name for name, _ in links} >= {"results.html", "chapters/mgn.html"}
    assert not [tag for page in pages.values() for tag in page.select("a[href$='record.json']")], "a link was missed"
    runs = {name: page for name, page in pages.items() if name.startswith("runs/")}
    places = {name: {tag["id"]: tag for tag in page.find_all(id=True)} for name, page in runs.items()}
    for name, href in set(links):
        target, _, anchor = href.partition("#")
        key = ((site / name).parent / target).resolve().relative_to(site.resolve()).as_posix()
        section = places[key][anchor].find_parent("section")
        if text(section.find("h2")).startswith(("Fusions", "Measurements")):
            continue  # of the members' trainings, whose sections stand before it
        assert section.select_one("svg path[d]") and section.select_one("details"), f"{name}: {href}"


def test_runs_have_their_records_in_full(site, pages):
    """What a page of runs offers for reading is, unpacked, the published file."""
    told, seen = [], 0
    for name, page in pages.items():
        for tag in page.select("a[href$='.json.gz']"):
            packed = (site / name).parent / tag["href"]
            stage, key = packed.parent.name, packed.name.removesuffix(".json.gz")
            seen += 1
            whole = (BOOK / "records" / stage / key / "record.json").read_bytes()
            told += [] if gzip.decompress(packed.read_bytes()) == whole else [tag["href"]]
    assert not told and seen > 500


def test_what_the_profile_scaled_stands_with_every_training(pages):
    for name, page in pages.items():
        if name.startswith("runs/") and name != "runs/index.html":
            others = ("Fusions", "Measurements")
            trained = [tag for tag in page.select("section > h2") if not text(tag).startswith(others)]
            captions = [text(tag) for tag in page.find_all("caption")]
            assert len(trained) == sum("What the profile" in caption for caption in captions), name
