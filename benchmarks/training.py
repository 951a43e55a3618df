"""Speed of a training step: real batches against a fixed tensor, a conventional loader, the device's matrix rate.

    python -m benchmarks.training                  on a CUDA device, MGN-ResNet-50-ibn at 384 x 128, batches of 128
    python -m benchmarks.training --device cpu     on one core, the laptop profile's MGN, for `reid plan`; and how much
                                                   sooner a worker of the pool has done it, see `reidlib.study.pool`
    python -m benchmarks.training --device cpu --tiny --out tiny.json     every line once, at the smoke profile

Everything is measured in one run, on images of the Courtside world, which is rendered first. The record,
book/records/benchmarks/training-<device>.json, is written anew after each row; a row that fails says why, and one for
which too little of --seconds is left is left out; torch.compile alone wants a minute or two. Times are wall times of
whole steps, after a warm-up.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.conventional import conventional, loader_alone
from benchmarks.steps import Bench, compiled_fixed, fixed_tensor, graphed, matrix_rate, real_batches, waits
from reidlib.study.estimate import memory, network_of
from reidlib.study.pool import MEMORY
from reidlib.study.provenance import ROOT, device_name, source, versions

COMPILED, WORKER = "compiled", "worker"  # rows that want a process of their own


class Record:
    """The rows so far, on disk after each; one that fails is a row too."""

    def __init__(self, bench: Bench, path: Path, until: float) -> None:
        self.bench, self.path, self.until = bench, path, until
        recipe = bench.recipe
        self.content: dict[str, Any] = {
            "title": f"Training MGN ({recipe.model_options['backbone']}, width {recipe.model_options['width']:g}) at "
            f"{recipe.height} x {recipe.width}, batches of {bench.batch}, {recipe.training.precision}",
            "machine": {
                "device": device_name(bench.device),
                "cores": os.cpu_count(),
                "loader_workers": bench.workers,
                **versions(),
                "cudnn": torch.backends.cudnn.version(),
                **source(),
                "date": time.strftime("%Y-%m-%d", time.gmtime()),
            },
            "rows": [],
            "steps": [],
        }

    def row(self, what: str, call: Callable[[], Any], least: float = 5.0) -> Any:
        """Calls, and notes a step's seconds (a float) or a dict; returns what came, None for nothing."""
        row: dict[str, Any] = {"what": what}
        found, left = None, self.until - time.monotonic()
        if left < least:
            row["left_out"] = f"{max(left, 0):.0f} s were left"
        else:
            started = time.monotonic()
            try:
                found = call()
            except Exception as error:  # the other rows are wanted all the same
                row["failed"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            if isinstance(found, float):
                row |= {"step_ms": 1e3 * found, "images_per_second": self.bench.batch / found}
            elif isinstance(found, dict):
                row |= found
            row["took_seconds"] = round(time.monotonic() - started, 1)
        gc.collect()
        if self.bench.cuda:
            with suppress(RuntimeError):
                torch.cuda.empty_cache()
        self.content["rows"].append(row)
        self.write()
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
        return found

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.content, indent=1) + "\n")


def in_another_process(arguments: argparse.Namespace, seconds: float, alone: str) -> dict[str, Any]:
    """Steps with torch.compile, whose compiler cannot be stopped from within; or in a worker of the study's pool."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "row.json"
        command = [sys.executable, "-m", "benchmarks.training", "--alone", alone]
        command += ["--device", arguments.device, "--out", str(path)]
        command += ["--tiny"] if arguments.tiny else []
        env = os.environ | (MEMORY if alone == WORKER else {})
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"not done within {seconds:.0f} s"}
        if done.returncode:
            return {"failed": done.stderr.strip().splitlines()[-1][:300]}
        return json.loads(path.read_text())


def worker_row(bench: Bench, path: Path) -> None:
    """What the other process measures where it takes memory as the pool's workers do."""
    seconds, _ = real_batches(bench, bench.recipe)
    path.write_text(json.dumps({"step_ms": 1e3 * seconds, "images_per_second": bench.batch / seconds}))


def compiled_rows(bench: Bench, path: Path) -> None:
    """What the other process measures: steps on real batches and on a fixed tensor, compiled."""
    started = time.monotonic()
    real, _ = real_batches(bench, bench.recipe, compiled=True)
    found = {"step_ms": 1e3 * real, "images_per_second": bench.batch / real}
    path.write_text(json.dumps(found | {"with_compiling_seconds": round(time.monotonic() - started, 1)}))
    fixed = compiled_fixed(bench)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fixed_tensor_step_ms": 1e3 * fixed}))


def measure(bench: Bench, record: Record, arguments: argparse.Namespace) -> None:
    rendered = record.row("images of the world", lambda: {"images": len(bench.dataset.rows("train"))})
    if rendered is None:
        return
    recipe = bench.recipe
    network = network_of(recipe, bench.classes)
    rate = record.row("product of two matrices", lambda: matrix_rate(bench))
    before = record.row("fixed tensor", lambda: fixed_tensor(bench))
    peak = {}

    def on_world() -> float:
        seconds, peak["bytes"] = real_batches(bench, recipe)
        return seconds

    real = record.row("real batches", on_world)
    after = record.row("fixed tensor, again", lambda: fixed_tensor(bench))
    usual = record.row("conventional loader", lambda: conventional(bench), least=15)
    record.row("conventional loader, nobody trains", lambda: loader_alone(bench), least=12)
    if not bench.cuda:
        left = record.until - time.monotonic()
        worker = record.row("real batches, a worker's memory", lambda: in_another_process(arguments, left, WORKER))
        again = record.row("real batches, again", lambda: real_batches(bench, recipe)[0])
    small = record.row("real batches, smaller network", lambda: {"step_ms": 1e3 * real_batches(bench, bench.small)[0]})

    ratios: dict[str, Any] = {"tflop_per_step": network.flop / 1e12}
    if real and before and after:
        ratios["real_over_fixed_time"] = real / ((before + after) / 2)
    if real and usual:
        ratios["times_conventional"] = usual / real
    if real and not bench.cuda and again and "step_ms" in (worker or {}):
        ratios["worker_over_real_time"] = worker["step_ms"] / 1e3 / ((real + again) / 2)
    if real and rate:
        ratios["share_of_matrix_rate"] = network.flop / real / 1e12 / rate["tflop_per_second"]
    if peak.get("bytes"):
        estimate = memory(recipe, network, len(bench.labels))
        ratios |= {"peak_gb": peak["bytes"] / 1e9, "peak_over_estimate": peak["bytes"] / estimate}
    record.row("ratios", lambda: ratios, least=-1e9)
    if real and small:
        of_small = network_of(bench.small, bench.classes).flop
        record.content["steps"] = [
            {"flop": network.flop, "seconds": real},
            {"flop": of_small, "seconds": small["step_ms"] / 1e3},
        ]
        record.write()

    if bench.cuda or bench.tiny:
        record.row("waits for the device", lambda: waits(bench))
        record.row("fixed tensor, forward and backward as CUDA graphs", lambda: graphed(bench))
    record.row("fixed tensor, torch's default layout", lambda: fixed_tensor(bench, channels_last=False))
    record.row("fixed tensor, optimiser not fused", lambda: fixed_tensor(bench, fused=False))
    record.row("fixed tensor, cuDNN's search for kernels", lambda: fixed_tensor(bench, search=True))
    left = record.until - time.monotonic()
    record.row("real batches, torch.compile", lambda: in_another_process(arguments, left, COMPILED), least=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="at the smoke profile, for a test of this file")
    parser.add_argument("--seconds", type=float, default=100.0, help="rows that would begin later are left out")
    parser.add_argument("--out", type=Path, help="(default: book/records/benchmarks/training-<device>.json)")
    parser.add_argument("--alone", choices=(COMPILED, WORKER), help=argparse.SUPPRESS)  # the other process
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.seconds
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here, and nothing is measured; --device cpu measures the processor.")
        return
    if arguments.tiny and arguments.out is None:
        parser.error("--tiny: wants --out, its numbers are no record")
    bench = Bench(arguments.device, arguments.tiny)
    path = arguments.out or ROOT / "book" / "records" / "benchmarks" / f"training-{arguments.device}.json"
    if arguments.alone == WORKER:
        worker_row(bench, path)
    elif arguments.alone == COMPILED:
        if arguments.tiny:  # the compiler itself takes minutes on a processor
            torch.compile = partial(torch.compile, backend="aot_eager")
        compiled_rows(bench, path)
    else:
        measure(bench, Record(bench, path, until), arguments)


if __name__ == "__main__":
    main()
