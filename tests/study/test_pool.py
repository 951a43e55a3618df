"""What the pool tells its workers before they start; what they compute is tested with the plans and with kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from reidlib.study import pool

SEEN = f"import json, os; print(json.dumps([os.environ.get(name) for name in {list(pool.MEMORY)!r}]))"


def seen_by_a_process() -> list[str | None]:
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_worker_is_told_how_to_take_memory_and_nobody_else(monkeypatch):
    for name in pool.MEMORY:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with pool._environment(pool.MEMORY):
        assert seen_by_a_process() == list(pool.MEMORY.values())
    assert dict(os.environ) == before
    assert seen_by_a_process() == [None] * len(pool.MEMORY)


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=2")
    with pool._environment(pool.MEMORY):
        assert seen_by_a_process()[0] == "glibc.malloc.hugetlb=2"
    assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=2"


def test_it_is_taken_back_after_an_error():
    with pytest.raises(OSError), pool._environment({"REID_TEST_OF_THE_POOL": "1"}):
        raise OSError
    assert "REID_TEST_OF_THE_POOL" not in os.environ
