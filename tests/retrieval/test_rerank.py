"""k-reciprocal re-ranking against the dense method, step by step."""

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.retrieval import _neighbours, distance, rerank


def people(count, size, *, of=6, noise=0.5, seed=0):
    """Features in clusters, as persons are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count // of + 1, size))
    return (centres[rng.integers(0, len(centres), count)] + noise * rng.standard_normal((count, size))).astype(
        np.float32
    )


def lattice(count, size, *, seed=0):
    """Features with many equal distances."""
    return np.random.default_rng(seed).integers(0, 3, (count, size)).astype(np.float32)


def duplicates(count, size, *, seed=0):
    """Half of the images are one and the same."""
    x = people(count, size, seed=seed)
    x[np.random.default_rng(seed).permutation(count)[: count // 2]] = x[0]
    return x


def isolated(count, size, *, seed=0):
    """Clusters, and points far from everything and from each other."""
    x = people(count, size, seed=seed)
    x[::7] *= 1 + 30 * np.arange(len(x[::7]))[:, None]
    return x


def one_place(count, size, *, seed=0):
    return np.full((count, size), 0.3, np.float32)


def signs(count, size, *, seed=0):
    """Features that at unit length, too, have many distances equal to the last bit."""
    rng = np.random.default_rng(seed)
    return (rng.choice([-1, 1], (count, size)) * 2.0 ** rng.integers(-3, 4, (count, 1))).astype(np.float32)


VARIANTS = ["published", "fastreid"]
SCENES = {
    "published": [people, lattice, duplicates, isolated, one_place],
    "fastreid": [people, signs, duplicates, isolated, one_place],
}
CASES = [(variant, scene) for variant in VARIANTS for scene in SCENES[variant]]
OPTIONS = [(20, 6, 0.3), (5, 2, 0.0), (7, 1, 0.5), (3, 9, 0.3), (1, 1, 0.3), (200, 150, 0.3)]  # the last: more than N


def squared_distances(x, variant):
    """Of the features x, or of their directions: what the variant works on."""
    x = unit(x) if variant == "fastreid" else x
    return oracles.euclidean(x, x) ** 2


def unit(x):
    return (x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)).astype(np.float32)


def both_ways(x, m, k1, k2, lambda_value, device="cpu", variant="published"):
    """All N rows, from features and from their squared distances, and the oracle's."""
    squared = squared_distances(x, variant)
    on_device = torch.from_numpy(x).to(device)
    options = {"k1": k1, "k2": k2, "lambda_value": lambda_value, "rows": "all", "variant": variant}
    parts = [torch.from_numpy(part).to(device) for part in (squared[:m, :m], squared[:m, m:], squared[m:, m:])]
    of_features = torch.cat(rerank.k_reciprocal(on_device[:m], on_device[m:], **options))
    of_distances = torch.cat(rerank.k_reciprocal_from_distances(*parts, **options))
    assert of_features.device.type == of_distances.device.type == torch.device(device).type
    if variant == "fastreid":
        want = oracles.k_reciprocal_fastreid(unit(x), m, k1, k2, lambda_value)
    else:
        want = oracles.k_reciprocal(squared, m, k1, k2, lambda_value)
    return of_features.cpu(), of_distances.cpu(), want


@pytest.mark.parametrize(("variant", "scene"), CASES)
@pytest.mark.parametrize(("k1", "k2", "lambda_value"), OPTIONS)
def test_the_dense_method_gives_the_same(variant, scene, k1, k2, lambda_value, device):
    of_features, of_distances, want = both_ways(scene(70, 8), 10, k1, k2, lambda_value, device, variant)
    np.testing.assert_allclose(of_features, want, atol=1e-5, rtol=0)
    np.testing.assert_allclose(of_distances, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 40), (40, 1), (3, 2)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_one_query_one_image_and_more_neighbours_than_images(variant, m, n):
    for scene in SCENES[variant]:
        of_features, of_distances, want = both_ways(scene(m + n, 4), m, 20, 6, 0.3, variant=variant)
        np.testing.assert_allclose(of_features, want, atol=1e-5, rtol=0)
        np.testing.assert_allclose(of_distances, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_small_scene_with_ties(variant, data):
    count, size = data.draw(st.integers(2, 24)), data.draw(st.integers(1, 3))
    values = st.integers(-2, 2) if variant == "published" else st.sampled_from([-1, 1])
    whole = st.lists(values, min_size=count * size, max_size=count * size)
    x = np.array(data.draw(whole), np.float32).reshape(count, size)
    m = data.draw(st.integers(1, count - 1))
    k1, k2 = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 8))
    of_features, of_distances, want = both_ways(x, m, k1, k2, 0.3, variant=variant)
    np.testing.assert_allclose(of_features, want, atol=1e-5, rtol=0)
    np.testing.assert_allclose(of_distances, want, atol=1e-5, rtol=0)


def test_the_variants_differ_and_the_published_one_is_the_default():
    x = people(70, 8)
    published, fastreid = (rerank.k_reciprocal(x[:10], x[10:], variant=variant) for variant in VARIANTS)
    np.testing.assert_array_equal(rerank.k_reciprocal(x[:10], x[10:]), published)
    assert (published - fastreid).abs().mean() > 0.01


def test_fastreid_counts_the_image_itself_among_k1():
    """With 1 nobody has a neighbour: in the published method images that are each other's nearest still do."""
    x = people(60, 8)
    published, fastreid = (
        rerank.k_reciprocal(x[:10], x[10:], k1=1, k2=1, lambda_value=0, variant=variant) for variant in VARIANTS
    )
    assert (fastreid == 1).all() and (published < 1).any()


def test_fastreid_adds_the_plain_cosine_distance():
    x = people(60, 8)
    got = rerank.k_reciprocal(x[:10], x[10:], lambda_value=1, variant="fastreid")
    np.testing.assert_allclose(got, distance.cosine(x[:10], x[10:]), atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_query_rows_alone_are_the_first_rows_of_all(variant):
    x = people(60, 8)
    alone = rerank.k_reciprocal(x[:7], x[7:], variant=variant)
    query_gallery, gallery_gallery = rerank.k_reciprocal(x[:7], x[7:], rows="all", variant=variant)
    assert alone.shape == (7, 53) and gallery_gallery.shape == (53, 53)
    assert alone.dtype == gallery_gallery.dtype == torch.float32
    np.testing.assert_array_equal(alone, query_gallery)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_image_is_at_distance_0_from_itself(variant):
    x = people(60, 32)
    _, gallery_gallery = rerank.k_reciprocal(x[:5], x[5:], lambda_value=1, rows="all", variant=variant)
    assert (gallery_gallery.diagonal() == 0).all()


def test_distances_are_used_as_they_are_given_even_asymmetric_ones():
    rng = np.random.default_rng(0)
    m, n = 6, 40
    parts = rng.random((m, m)), rng.random((m, n)).astype(np.float32), rng.random((n, n))
    whole = np.block([[parts[0], parts[1]], [parts[1].T, parts[2]]])
    got = torch.cat(rerank.k_reciprocal_from_distances(*parts, k1=8, k2=3, rows="all"))
    np.testing.assert_allclose(got, oracles.k_reciprocal(whole, m, 8, 3, 0.3), atol=1e-5, rtol=0)


def test_lambda_1_keeps_the_order_of_the_distances():
    rng = np.random.default_rng(0)
    m, n = 5, 60
    whole = rng.permutation((m + n) ** 2).reshape(m + n, m + n).astype(np.float32)  # no two are equal
    got = rerank.k_reciprocal_from_distances(whole[:m, :m], whole[:m, m:], whole[m:, m:], lambda_value=1.0)
    np.testing.assert_array_equal(got.argsort(dim=1), whole[:m, m:].argsort(axis=1))
    x = people(m + n, 16)
    squared = oracles.euclidean(x[:m], x[m:]) ** 2
    order = rerank.k_reciprocal(x[:m], x[m:], lambda_value=1).argsort(dim=1)
    assert (np.diff(np.take_along_axis(squared, order.numpy(), axis=1)) > -1e-6 * squared.max()).all()


def test_permuting_the_gallery_permutes_the_columns():
    x, shuffled = people(80, 8), np.random.default_rng(1).permutation(70)
    query, gallery = x[:10], x[10:]
    got = rerank.k_reciprocal(query, gallery[shuffled])
    np.testing.assert_allclose(got, rerank.k_reciprocal(query, gallery)[:, shuffled], atol=1e-6)


@pytest.mark.parametrize("length", [1e-42, 1e-30, 1e-3, 1e3, 1e37])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_length_of_features_does_not_matter(variant, length):
    x = (length * people(60, 8).astype(np.float64)).astype(np.float32)
    of_features, _, want = both_ways(x, 10, 20, 6, 0.3, variant=variant)
    np.testing.assert_allclose(of_features, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_neighbours_are_those_of_exact_distances(variant, device):
    """Far from the origin a float32 product ranks neighbours by its rounding. Measured again, they are right."""
    x = 100 + people(90, 64, noise=0.1)
    of_features, of_distances, want = both_ways(x, 10, 10, 4, 0.3, device, variant)
    np.testing.assert_allclose(of_distances, want, atol=1e-5, rtol=0)
    np.testing.assert_allclose(of_features, want, atol=1e-5, rtol=0)


def test_an_outlier_does_not_blur_the_others():
    """Its length makes the float32 inner products of everyone too coarse to rank with."""
    x = people(90, 16)
    x[50] = 1e5
    of_features, _, want = both_ways(x, 10, 10, 4, 0.0)
    np.testing.assert_allclose(of_features, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_blocks_do_not_show(variant, monkeypatch):
    x = duplicates(70, 8)
    squared = squared_distances(x, variant)
    parts = squared[:9, :9], squared[:9, 9:], squared[9:, 9:]
    options = {"rows": "all", "variant": variant}

    def everything():
        of_features = rerank.k_reciprocal(x[:9], x[9:], **options)
        return torch.cat([*of_features, *rerank.k_reciprocal_from_distances(*parts, **options)])

    whole = everything()
    monkeypatch.setattr(_neighbours, "rows_at_once", lambda _: 4)  # query rows end inside a block
    np.testing.assert_allclose(everything(), whole, atol=1e-6, rtol=0)


def test_reduced_precision_left_by_training_changes_nothing(device):
    x = torch.from_numpy(people(200, 128, noise=1.5)).to(device)
    want = rerank.k_reciprocal(x[:20], x[20:])
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            got = rerank.k_reciprocal(x[:20], x[20:])
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(got.cpu(), want.cpu())


def test_arguments_are_left_alone():
    x = people(30, 4)
    squared = oracles.euclidean(x, x) ** 2
    kept = x.copy(), squared.copy()
    rerank.k_reciprocal(x[:5], x[5:], rows="all")
    rerank.k_reciprocal_from_distances(squared[:5, :5], squared[:5, 5:], squared[5:, 5:], rows="all")
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(squared, kept[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": 0}, r"^k1: wants a whole number of at least 1, got 0"),
        ({"k1": 2.5}, r"^k1: wants a whole number"),
        ({"k2": 0}, r"^k2: wants a whole number of at least 1"),
        ({"lambda_value": 1.01}, r"^lambda_value: wants a number in \[0, 1\], got 1.01"),
        ({"lambda_value": float("nan")}, r"^lambda_value"),
        ({"lambda_value": "0.3"}, r"^lambda_value"),
        ({"rows": "gallery"}, r"^rows: 'gallery' is not one of 'query', 'all'"),
        ({"variant": "FastReID"}, r"^variant: 'FastReID' is not one of 'published', 'fastreid'"),
    ],
)
def test_bad_options_are_named(options, message):
    x = people(10, 4)
    with pytest.raises(ValueError, match=message):
        rerank.k_reciprocal(x[:3], x[3:], **options)
    with pytest.raises(ValueError, match=message):
        rerank.k_reciprocal_from_distances(np.ones((3, 3)), np.ones((3, 7)), np.ones((7, 7)), **options)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (((3, 3), (3, 7), (7, 6)), r"^gallery_gallery: wants shape \(7, 7\), got \(7, 6\)"),
        (((3, 4), (3, 7), (7, 7)), r"^query_query: wants shape \(3, 3\), got \(3, 4\)"),
        (((3, 3), (21,), (7, 7)), r"^query_gallery: wants shape \(any, any\)"),
        (((0, 0), (0, 7), (7, 7)), r"^query_gallery: empty"),
        (((3, 3), (3, 0), (0, 0)), r"^query_gallery: empty"),
    ],
)
def test_bad_shapes_are_named(parts, message):
    with pytest.raises(ValueError, match=message):
        rerank.k_reciprocal_from_distances(*(np.ones(shape) for shape in parts))


def test_bad_values_are_named():
    good, bad = people(10, 4), people(10, 4)
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"^gallery: 1 of 40 values are NaN"):
        rerank.k_reciprocal(good, bad)
    with pytest.raises(ValueError, match=r"^query: empty"):
        rerank.k_reciprocal(good[:0], good)
    with pytest.raises(ValueError, match=r"^gallery: wants shape \(any, 4\)"):
        rerank.k_reciprocal(good, good[:, :3])
    similarities = np.full((10, 10), -0.5)
    with pytest.raises(ValueError, match=r"^query_query: wants distances of 0 or more"):
        rerank.k_reciprocal_from_distances(similarities, similarities, similarities)
    rounded = 1 - np.eye(10) - 1e-7 * np.eye(10)  # 1 - cos, as it comes out of many programs
    assert torch.isfinite(rerank.k_reciprocal_from_distances(rounded, rounded, rounded)).all()


def test_bad_values_of_the_variant_are_named():
    x = people(10, 4)
    zero, squared = x.copy(), squared_distances(x, "published")
    zero[3] = 0
    with pytest.raises(ValueError, match=r"^gallery: row 3 is all zeros"):
        rerank.k_reciprocal(x, zero, variant="fastreid")
    with pytest.raises(ValueError, match=r"^query_gallery: wants squared distances of unit features, 4 at most"):
        rerank.k_reciprocal_from_distances(np.zeros((10, 10)), squared, squared, variant="fastreid")
