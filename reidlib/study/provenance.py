"""What a record says of the place and time of a computation: commit, source hash, versions, device, wall, memory."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]


class Stopwatch:
    """Times a stage: `fields()` gives the record's fields about where and how long."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.begin = datetime.now(UTC)
        self.clock = time.perf_counter()
        source()  # now: the files may be edited while a run goes on
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def fields(self) -> dict[str, Any]:
        return {
            **source(),
            "versions": versions(),
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            "seconds": round(time.perf_counter() - self.clock, 3),
            "peak_memory_mib": self._peak_memory(),
            "start": self.begin.isoformat(timespec="seconds"),
            "end": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _peak_memory(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) >> 20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10  # the process's, in KiB on Linux


@cache
def source() -> dict[str, Any]:
    """Git commit, whether the checkout differs from it, and the hash of the package's own source."""
    digest = hashlib.sha256()
    for path in sorted(p for p in (ROOT / "reidlib").rglob("*") if p.suffix in (".py", ".json")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    commit = _git("rev-parse", "HEAD")
    dirty = bool(_git("status", "--porcelain", "--", "reidlib", "params")) if commit else None
    return {"commit": commit, "dirty": dirty, "source": digest.hexdigest()}


@cache
def versions() -> dict[str, str]:
    names = ("torch", "torchvision", "numpy", "pandas", "numba", "scipy", "pillow")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def make_deterministic() -> None:
    """Lets CUDA add in one order: the same run twice is then bit-identical on the same card, and slower.

    For this process, before it first multiplies on the card. On the CPU it is so without.
    Raises RuntimeError later, naming the operation, where torch has no such way.
    """
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)


def device_name(device: torch.device) -> str:
    """ "NVIDIA H200", also "NVIDIA H200, deterministic", or "CPU, 2 threads, AVX512"."""
    if device.type == "cuda":
        mode = ", deterministic" if torch.are_deterministic_algorithms_enabled() else ""
        return torch.cuda.get_device_name(device) + mode
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}, {torch.backends.cpu.get_cpu_capability()}"


def device_of(record: Mapping) -> str:
    """A record's device, as `device_name` says it today: records of before say "1 threads"."""
    return record["device"].replace(" 1 threads", " 1 thread")


def seconds_of(record: Mapping) -> float:
    """What computing a record took: a resumed run names its last process's seconds, and its curve every epoch's."""
    return max(record["seconds"], sum(point.get("seconds", 0.0) for point in record.get("curve", ())))


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
