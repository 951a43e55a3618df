"""Two or more ways to do one piece of work, measured in one run: each in a process of its own, and in turn.

What else the machine does then slows all of them alike, and nobody's memory counts as another's. Needs Linux, whose
kernel tells a process the most memory that it ever held.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "book" / "records" / "benchmarks"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
LIBRARIES = ("numba", "numpy", "scipy", "torch", "torchvision")


@dataclass(frozen=True)
class Side:
    """One way to do the work.

    prepare(*arguments), a function of a module, loads what is needed, compiles, and returns the work, a function
    without arguments; only that is measured. share: the part of the work that it does, 1 for all; times are divided by
    it. once: measured in the first round alone, for what takes minutes. tell: what to send of the work's answer, found
    when time and memory have been taken.
    """

    prepare: Callable[..., Callable[[], Any]]
    arguments: tuple = ()
    share: float = 1.0
    once: bool = False
    tell: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Measured:
    """seconds, cpu_seconds: of each round, the latter summed over threads. memory: MiB held at the most while working,
    beyond what was held before; total: with that. answer: the work's own, of the first round."""

    seconds: list[float]
    cpu_seconds: list[float]
    memory: float
    total: float
    answer: Any

    def as_record(self) -> dict[str, Any]:
        names = ("seconds", "cpu_seconds")
        times = {name: [float(f"{value:.4g}") for value in getattr(self, name)] for name in names}
        return times | {"memory_mib": round(self.memory, 1), "total_mib": round(self.total, 1)}

    @property
    def best(self) -> float:
        """The shortest time: what else runs can only add to it."""
        return min(self.seconds)


def measure(sides: Mapping[str, Side], rounds: int = 3, threads: int = 2) -> dict[str, Measured]:
    """Do every side's work `rounds` times, one side after the other in each round; the order turns with each round.

    threads: how many each may use. Answers are sent between processes, so they had better be small.
    Raises RuntimeError when a side fails.
    """
    context = multiprocessing.get_context("spawn")
    workers = {}
    try:
        for name, side in sides.items():
            ours, theirs = context.Pipe()
            work = theirs, side.prepare, side.arguments, side.tell
            process = context.Process(target=_serve, args=work, daemon=True)
            with _environment(dict.fromkeys(THREADS, str(threads))):
                process.start()
            theirs.close()
            workers[name] = process, ours
            _receive(name, ours)
        found: dict[str, list] = {name: [] for name in sides}
        for number in range(rounds):
            for name in list(sides)[:: -1 if number % 2 else 1]:
                if number and sides[name].once:
                    continue
                workers[name][1].send(number == 0)
                found[name].append(_receive(name, workers[name][1]))
    finally:
        for process, pipe in workers.values():
            pipe.close()  # which ends a process that waits for work
            process.join(20)
            process.terminate()
            process.join()
    return {name: _measured(found[name], sides[name].share) for name in sides}


@contextmanager
def _environment(changes: Mapping[str, str]):
    """For a process that is started within; this one's own libraries must not read it."""
    before = dict(os.environ)
    os.environ |= changes
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def _measured(rounds: list[tuple], share: float) -> Measured:
    wall, cpu, memory, total, answers = zip(*rounds, strict=True)
    return Measured([s / share for s in wall], [s / share for s in cpu], memory[0], total[0], answers[0])


def _receive(name: str, pipe) -> Any:
    try:
        answer = pipe.recv()
    except EOFError:
        raise RuntimeError(f"{name}: its process ended before the work was done; see its message above") from None
    return answer


def _serve(pipe, prepare: Callable, arguments: tuple, tell: Callable | None) -> None:
    """A side's process: prepare once, then work whenever asked."""
    work = prepare(*arguments)
    pipe.send(None)
    while True:
        try:
            wants_answer = pipe.recv()
        except EOFError:
            return
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
        before = _memory("VmRSS")
        wall, cpu = time.perf_counter(), time.process_time()
        answer = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = _memory("VmHWM")
        told = (tell(answer) if tell else answer) if wants_answer else None
        del answer  # or the next round would have to free it
        pipe.send((wall, cpu, peak - before, peak, told))


def _memory(field: str) -> float:
    """MiB that this process holds (VmRSS), or the most that it held since the peak was last reset (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) / 1024


def ratio(slow: Measured, fast: Measured) -> float:
    """How many times faster `fast` is: the median over rounds of the ratio of neighbouring times.

    A side that was measured once is compared with the median of the other.
    """
    if len(slow.seconds) == len(fast.seconds):
        return statistics.median(s / f for s, f in zip(slow.seconds, fast.seconds, strict=True))
    return statistics.median(slow.seconds) / statistics.median(fast.seconds)


def row(work: str, size: str, against: str, goal: str, value: float, unit: str = "×", *,
        at_least: float | None = None, at_most: float | None = None, sides: Mapping[str, Measured] | None = None,
        **more: Any) -> dict[str, Any]:
    """One line of the page's table. value is what was measured, in `unit`; the goal is a bound on it and its words."""
    if (at_least is None) == (at_most is None):
        raise ValueError("row: wants one of at_least and at_most")
    met = value >= at_least if at_least is not None else value <= at_most
    return {"work": work, "size": size, "against": against, "goal": goal, "value": float(f"{value:.4g}"), "unit": unit,
            "bound": at_least if at_least is not None else at_most, "met": bool(met),
            "sides": {name: found.as_record() for name, found in (sides or {}).items()}} | more


def write(name: str, order: int, rows: Iterable[Mapping], folder: Path = RECORDS, **more: Any) -> Path:
    """Write a benchmark's record as name.json. order: its place on the page. more: `curves`, `checks`, `notes`."""
    record = {"name": name, "order": order, "machine": machine(), "rows": list(rows)} | more
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(f"{path.name}: " + "; ".join(f"{r['work']} ({r['against']}): {r['value']:g} {r['unit']}, goal {r['goal']}"
                                       for r in record["rows"]))
    return path


def machine() -> dict[str, Any]:
    """Where and when: processor, cores, memory, load, versions, commit."""
    described = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in described if line.startswith("model name")), "unknown")
    status = subprocess.run(["git", "status", "--porcelain", "--", "reidlib", "benchmarks"], cwd=ROOT,
                            check=False, capture_output=True, text=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=False, capture_output=True, text=True)
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "commit": commit.stdout.strip() or None,
        "dirty": bool(status.stdout.strip()),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
