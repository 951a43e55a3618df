"""Pictures and generators for the tests of augmentation."""

from __future__ import annotations

import torch


def pixels(count=8, height=24, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)
