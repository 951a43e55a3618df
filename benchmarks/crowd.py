"""Features of a crowd that nobody trained: clustered as persons are, with hubs, overlaps and images of nobody else.

A person is a point on a sphere in `LATENT` dimensions, an image of theirs that point plus noise that is drawn anew,
with a strength of the image's own: some images lie close to their person, others among strangers. One image in fifty
is a random point alone. A random linear map takes all of it to D dimensions, where a little noise in every dimension is
added. Persons have unequally many images. The same arguments give the same features.
"""

from __future__ import annotations

import numpy as np

LATENT = 48
SPREAD = (0.2, 1.0)  # the noise's length, as a share of the person's, drawn uniformly for each image
ALONE = 0.02
FLOOR = 0.05  # of the noise in all D dimensions, likewise


def crowd(queries: int, gallery: int, persons: int, size: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Features and persons of queries and gallery: (m, D) float32, (n, D) float32, (m,) int64, (n,) int64.

    Every person of the first `queries` of them has an image in the gallery, as long as that is not smaller.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((persons, LATENT), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    share = rng.gamma(4.0, size=persons)
    drawn = rng.choice(persons, gallery, p=share / share.sum())
    drawn[: min(persons, gallery)] = np.arange(min(persons, gallery))
    gallery_person = rng.permutation(drawn)
    query_person = rng.permutation(np.arange(queries) % persons)
    lift = rng.standard_normal((LATENT, size), np.float32) / np.float32(np.sqrt(size))
    parts = [_images(rng, centres, person, lift) for person in (query_person, gallery_person)]
    return parts[0], parts[1], query_person, gallery_person


def _images(rng, centres: np.ndarray, person: np.ndarray, lift: np.ndarray) -> np.ndarray:
    noise = rng.standard_normal((len(person), LATENT), np.float32) / np.float32(np.sqrt(LATENT))
    inside = centres[person] + noise * rng.uniform(*SPREAD, (len(person), 1)).astype(np.float32)
    alone = rng.random(len(person)) < ALONE
    inside[alone] = 3 * noise[alone]
    images = inside @ lift
    for rows in range(0, len(images), 4096):
        part = images[rows : rows + 4096]
        part += np.float32(FLOOR / np.sqrt(part.shape[1])) * rng.standard_normal(part.shape, np.float32)
    return images


def lattice(queries: int, gallery: int, size: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Adversarial: whole coordinates from 0 to 2, so that most distances are tied; half of the gallery one image, and
    some points far from everything."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (queries + gallery, size)).astype(np.float32)
    x[queries:][rng.permutation(gallery)[: gallery // 2]] = x[-1]
    x[::17] *= 1 + 30 * np.arange(len(x[::17]), dtype=np.float32)[:, None]
    return x[:queries], x[queries:]


def cameras(count: int, number: int = 6, seed: int = 0) -> np.ndarray:
    """(count,) int64, which camera took each image."""
    return np.random.default_rng(seed).integers(0, number, count)


def squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(m, n) float32 squared Euclidean distances, computed in float64, in blocks of rows."""
    out = np.empty((len(x), len(y)), np.float32)
    y64 = y.astype(np.float64)
    of_y = (y64**2).sum(1)
    for rows in range(0, len(x), 1024):
        part = x[rows : rows + 1024].astype(np.float64)
        out[rows : rows + 1024] = np.maximum((part**2).sum(1)[:, None] + of_y - 2 * part @ y64.T, 0)
    return out
