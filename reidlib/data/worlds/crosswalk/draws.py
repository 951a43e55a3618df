"""Random numbers of this world: one independent stream for every purpose and thing."""

import numpy as np

_WORLD = 7                                  # Courtside's streams have its splits here, 0 to 2
_SPLIT = {"train": 0, "test": 1, "other": 2}
# The third number of a seed sequence says what the numbers are for.
CAMERAS, PLACE, SIGHTS, PERSON, WALK, PASSER, DETECTOR, SWAP, JUNK, OTHER, LENGTH, LS_SET = range(12)


def generator(spec, purpose, *index):
    """Random numbers for one purpose: PCG64 seeded by (seed, world, purpose, index...); splits count as numbers."""
    numbers = [_SPLIT[i] if isinstance(i, str) else int(i) for i in index]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([spec.seed, _WORLD, purpose, *numbers])))


def strata(random, count):
    """count numbers spread evenly over -1..1 in random order, each shaken within its own stratum."""
    return (2 * random.permutation(count) + 1 + random.uniform(-0.6, 0.6, count)) / count - 1
