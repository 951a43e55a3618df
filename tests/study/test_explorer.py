"""The explorer shows reidlib's orders: its own JavaScript, run by Node or Chromium, against rankings made anew."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from reidlib.retrieval import vtrm as walk
from reidlib.retrieval.metrics import evaluate_rankings
from reidlib.study import chapter, figures
from reidlib.study.data import VAL
from reidlib.study.explorer import ACROSS, DOWN, FOLDER, HEIGHT, WIDTH, vote
from reidlib.study.fusing import RANKING, rank_fused
from reidlib.study.needs import explored
from reidlib.study.profile import load_profile
from reidlib.study.provenance import ROOT
from reidlib.study.ranking import Ranking, distances, labels
from reidlib.study.recipes import vtrm
from reidlib.study.store import read_record

EXPLORER = ROOT / "book" / FOLDER
STATES = [
    {"window": window, "reference": reference, "reranked": reranked}
    for window, reference, reranked in product((1, 2, 3, 4, 5, 10, 0), (False, True), (False, True))
]
ROUNDING = 0.01  # of the queries: another processor's last bits may exchange neighbours that are as near


def javascript(expression: str):
    """The JSON value of an expression in `data` and `Explorer`, evaluated beside the page's own two files."""
    sources = [(EXPLORER / name).read_text(encoding="utf-8") for name in ("data.js", "explorer.js")]
    body = "\n".join([*sources, "const data = window.EXPLORER_DATA;", f"return JSON.stringify({expression});"])
    call = f"new Function('window', 'document', {json.dumps(body)})({{}}, undefined)"
    if node := shutil.which("node"):
        done = subprocess.run([node], input=f"console.log({call})", capture_output=True, text=True, check=True)
        return json.loads(done.stdout)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("neither node nor chromium is on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[] if os.geteuid() else ["--no-sandbox"])
        return json.loads(browser.new_page().evaluate(call))


@pytest.fixture(scope="module")
def study():
    return chapter.open_study(load_profile("laptop"), published=ROOT / "book" / "records")


@pytest.fixture(scope="module")
def shown():
    """Of each state: name of the row -> (m, first) images, whether they are right, and average precisions."""
    strips = "data.query.person.map((_, query) => Explorer.strip(data, row.ranking, query))"
    rows = f"Explorer.shown(data, state).map(row => [row.name, {strips}, row.ranking.precision])"
    return javascript(f"{json.dumps(STATES)}.map(state => {rows})")


def images(strips: list) -> np.ndarray:
    return np.array([[picture["image"] for picture in strip] for strip in strips])


def assert_same(found: np.ndarray, wanted: np.ndarray, name: str) -> None:
    assert found.shape == wanted.shape
    assert (found != wanted).any(axis=1).mean() <= ROUNDING, name


def test_orders_are_those_of_reidlib(study, shown):
    """Every strip of every position of the controls."""
    gallery = study.gallery(vtrm.six_times(), study.profile.seeds[0])
    compared = {}
    for state, rows in zip(STATES, shown, strict=True):
        first = len(rows[0][1][0])
        for rerank, (name, strips, _) in zip((False, True), rows[:2], strict=True):
            order = distances(gallery, Ranking(rerank=rerank))[0].argsort(dim=1, stable=True)[:, :first]
            assert_same(images(strips), order.numpy(), name)
        near = distances(gallery, Ranking(rerank=state["reranked"], vtrm=True))
        options = {"window": state["window"] or None, "reference": state["reference"] and state["window"] > 0}
        wanted = walk.mine(*near, **options, depth=first)[:, :first].numpy()
        name, strips, _ = rows[2]
        assert_same(images(strips), wanted, name)
        compared[name] = wanted
    assert len(compared) == 2 * 13, "names of the rows do not tell the controls' positions apart"


def test_the_vote_of_the_seeds_is_that_of_reidlib(study, shown):
    fused, precision = vote(study, explored(study).fusion)
    name, strips, shown_precision = next(row for row in shown[0] if row[0] == "Fusion: the vote of 3 models")
    assert_same(images(strips), fused[:, : len(strips[0])].numpy(), name)
    assert np.mean(np.abs(np.subtract(shown_precision, np.multiply(100, precision))) > 0.001) <= ROUNDING


def five(study, shown) -> list:
    """Of each state, the row of the five models."""
    there = [[row for row in rows if row[0] == "Fusion: the vote of 5 models"] for rows in shown]
    assert {len(rows) for rows in there} == {1 if explored(study).find(study, study.profile.seeds[0]) else 0}
    if not there[0]:
        pytest.skip("the ranking of the five models fused is not published; `reid study` computes it")
    return [row for (row,) in there]


def test_the_fusion_is_the_published_one(study, shown):
    """Its order is that of the ranking beside its record, whose every average precision this ranking gives again."""
    rows, seed = five(study, shown), study.profile.seeds[0]
    entry = explored(study).find(study, seed)
    fused = entry.tensors(RANKING)["ranking"].long()
    for _, strips, _ in rows:
        assert (images(strips) == fused[:, : len(strips[0])].numpy()).all()
    gallery = study.gallery(vtrm.six_times(), seed)
    assert (fused.sort(dim=1).values == torch.arange(len(gallery.gallery))).all()
    found = evaluate_rankings(fused, *labels(gallery), protocol="synergyreid").average_precision
    assert found == pytest.approx(np.array(entry.record["metrics"]["average_precision"], dtype=float), abs=1e-9)
    assert entry.record["config"]["members"] == [recipe.row for recipe in vtrm.table3().values()]


def test_the_fusion_is_that_of_reidlib(study, shown):
    """From the features of the five models, which are not published, where the user's own store has them."""
    _, strips, _ = five(study, shown)[0]
    own = chapter.open_study(study.profile)
    need, seed = explored(own), own.profile.seeds[0]
    for recipe in need.recipes:
        key = own.features_key(recipe, seed, VAL)
        if own.store.find("features", key, needs="features.safetensors") is None:
            pytest.skip("the features of the five models are not published; `reid study` computes them")
    fused, _, _ = rank_fused([own.gallery(recipe, seed) for recipe in need.recipes], need.fusion)
    assert_same(images(strips), fused[:, : len(strips[0])].numpy(), "fusion")


def test_right_images_show_the_querys_person(study, shown):
    gallery = study.gallery(vtrm.six_times(), study.profile.seeds[0])
    for _, strips, _ in shown[0]:
        same = gallery.gallery_labels["person"][images(strips)] == gallery.query_labels["person"][:, None]
        assert (np.array([[picture["right"] for picture in strip] for strip in strips]) == same.numpy()).all()
        frames = np.array([[picture["frame"] for picture in strip] for strip in strips])
        assert (frames == gallery.gallery_labels["frame"][images(strips)].numpy()).all()


def test_precisions_are_the_records():
    rankings = javascript("data.rankings.map(ranking => [ranking.record ?? null, ranking.precision])")
    assert [record for record, _ in rankings].count(None) == 1, "the vote of the seeds"
    for record, precision in (pair for pair in rankings if pair[0]):
        metrics = read_record(ROOT / "book" / "records" / record / "record.json")["metrics"]
        assert np.abs(np.array(precision) - 100 * np.array(metrics["average_precision"])).max() <= 0.0005


def test_links_lead_back_to_what_they_were_made_of():
    states = [state | {"query": number, "sort": "gains"} for number, state in enumerate(STATES)]
    assert javascript(f"{json.dumps(states)}.map(state => Explorer.fromLink(data, Explorer.toLink(state)))") == states
    default = javascript("Explorer.fromLink(data, '')")
    for link in ("#query=-1", "#query=1e9", "#query=x", "#window=7", "#sort=none", "#reranked=1&window="):
        assert javascript(f"Explorer.fromLink(data, {json.dumps(link)})") in (default, default | {"window": 0})


@pytest.mark.parametrize("order", ["hardest", "gains", "losses"])
def test_queries_are_sorted(order):
    state = json.dumps({"window": 1, "reference": False, "reranked": True, "sort": order})
    found, rows = javascript(f"[Explorer.sorted(data, {state}), Explorer.shown(data, {state})]")
    plain, before, walked = (np.array(row["ranking"]["precision"]) for row in rows[:3])
    key = {"hardest": plain, "gains": before - walked, "losses": walked - before}[order]
    assert sorted(found) == list(range(len(plain))) and (np.diff(key[found]) >= 0).all()


def test_pictures_are_the_worlds(study):
    """Some, drawn anew, look more like their place on a sheet than like any other's; the last is a query."""
    gallery = study.gallery(vtrm.six_times(), study.profile.seeds[0])
    m, n = len(gallery.query), len(gallery.gallery)
    chosen = {place: ("gallery", place) for place in (20, 401)} | {
        n: ("query", 0),
        n + m - 1: ("query", m - 1),
    }
    cut = {place: sprite(place) for place in chosen}
    for place, (role, index) in chosen.items():
        labels = gallery.gallery_labels if role == "gallery" else gallery.query_labels
        drawn = Image.fromarray(figures.picture(study.data, "val", labels, index)).resize((WIDTH, HEIGHT))
        far = {other: np.abs(np.asarray(drawn, float) - pixels).mean() for other, pixels in cut.items()}
        assert min(far, key=far.get) == place and far[place] < 12, far


def sprite(place: int) -> np.ndarray:
    """(H, W, 3) the picture of that number, cut from its sheet."""
    sheet = Image.open(EXPLORER / f"sheet-{place // (ACROSS * DOWN)}.jpg")
    y, x = divmod(place % (ACROSS * DOWN), ACROSS)
    return np.asarray(sheet.crop((x * WIDTH, y * HEIGHT, (x + 1) * WIDTH, (y + 1) * HEIGHT)), float)


def test_explorer_is_light():
    assert sum(path.stat().st_size for path in EXPLORER.iterdir()) < 3_000_000


def test_a_gallery_that_16_bits_cannot_number(study, monkeypatch):
    from reidlib.study.explorer import explorer_data

    class Large:
        gallery = torch.empty(1 << 16, 1)

    monkeypatch.setattr(type(study), "gallery", lambda *_: Large())
    with pytest.raises(ValueError, match="gallery: the explorer numbers images in 16 bits, got 65536 images"):
        explorer_data(study)
