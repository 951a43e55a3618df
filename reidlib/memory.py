"""What does not fit into memory is one sentence that names the setting to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
