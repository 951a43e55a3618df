"""How much is held at once; what does not fit into memory is one sentence that names the setting to lower."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

VARIABLE, DEFAULT = "REID_MEMORY_MIB", 2048  # with which block sizes are what the published numbers were computed with
BLOCK = 32  # a block of distances, of which several kinds exist side by side, takes one part in so many


def budget() -> int:
    """Bytes that a batch of features or blocks of distances may take beyond arguments and answers: $REID_MEMORY_MIB.

    Another budget gives the same features and distances but for their last bits.
    Raises ValueError when the variable is no whole number of at least 32.
    """
    told = os.environ.get(VARIABLE, str(DEFAULT))
    if not told.isdecimal() or int(told) < BLOCK:
        raise ValueError(f"{VARIABLE}: wants a whole number of MiB, {BLOCK} at least, got {told!r}")
    return int(told) << 20


def rows_at_once(row_bytes: int) -> int:
    """Rows of a block of distances that a block's share of the budget holds, at least 1."""
    return max(1, budget() // BLOCK // row_bytes)


@contextmanager
def fitting(what: str, lower: str) -> Iterator[None]:
    """Raises ValueError in place of the errors with which numpy, torch and CUDA say that memory does not suffice.

    what: what was being held, to begin the sentence. lower: the settings to lower, to end it.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # the CPU's allocator and cuBLAS have no error of their own
        told = isinstance(error, MemoryError | torch.OutOfMemoryError) or "alloc" in str(error).lower()
        if not told:
            raise
        raise ValueError(f"memory: {what} does not fit into it; lower {lower}") from error
