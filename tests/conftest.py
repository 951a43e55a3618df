"""One torch thread a test process: two processes of two threads each on two cores wait for each other."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, and for the commands that tests run

import pytest  # noqa: E402
import torch  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)  # for each test: numba's OpenMP layer changes it for the whole process
