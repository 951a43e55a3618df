"""Kills everything that the study writes at random moments, starts it again, and counts what was lost.

    python benchmarks/faults.py                                     the whole campaign, to book/records/faults.json
    python benchmarks/faults.py --kinds train --kills 5 --out x.json

Each kind of work runs in a process group of its own that is killed with SIGKILL after a time drawn from its whole
duration, 1 to 4 times in a row, and then runs to its end. After each kill everything that can be read is read. At the
end its result is compared with that of an undisturbed run, and the folder is searched for what a kill left behind.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: what is forked here must have no threads

import nbformat
import numpy as np
import torch
from PIL import Image

from reidlib.checkpoint import save_tensors
from reidlib.data.worlds import write_courtside
from reidlib.data.worlds.crosswalk import CrosswalkSpec, write_crosswalk
from reidlib.data.worlds.disk import hash_files
from reidlib.study import plans, publish
from reidlib.study.chapter import open_study
from reidlib.study.data import courtside_spec
from reidlib.study.own import train_on_folder
from reidlib.study.profile import load_profile
from reidlib.study.provenance import ROOT, device_name, source, versions
from reidlib.study.store import Store, all_entries, copy_entries, key_of

OURS = ROOT / "_build" / "faults"  # chapters and books have to lie in the checkout
MEASURED = ("metrics", "files", "classes", "images", "parameters")  # of a record: what is no date and no duration


@dataclass
class Count:
    """What was done to one kind of work and what came of it; all numbers in LOST have to be 0."""

    kills: int = 0
    killed_while_resuming: int = 0
    runs_to_the_end: int = 0
    records_read_after_kills: int = 0
    records_half_written: int = 0
    locks_held: int = 0
    runs_failed: int = 0
    results_different: int = 0
    left_behind: int = 0
    seconds_undisturbed: float = 0.0
    seconds_until_locks_were_free: float = 0.0  # the longest; a notebook's kernel outlives papermill by about a second
    messages: list[str] = field(default_factory=list)


LOST = ("records_half_written", "locks_held", "runs_failed", "results_different", "left_behind")
PATIENCE = 10.0  # seconds in which the processes of a killed work have to be gone, and their locks with them


def train(home: Path) -> None:
    """A folder of noise, trained, its features extracted and ranked."""
    images = home / "images"
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 2)):
        for person in range(16):
            folder = images / split / f"p{person}"
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = rng.integers(person, 255, (32, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    train_on_folder(images, None, height=32, width=16, epochs=8, backbone_width=0.125, device="cpu")


def world(home: Path) -> None:
    """A world of each kind."""
    write_courtside(courtside_spec(4, 2, 2), home / "worlds" / "courtside", progress=False, threads=1)
    write_crosswalk(CrosswalkSpec(train_ids=2, test_ids=2), home / "worlds" / "crosswalk", progress=False, threads=1)


def store(home: Path) -> None:
    """Results put into a store, copied to another folder, and that folder's records replaced by half of them."""
    entries = []
    for number in range(24):

        def compute(folder: Path, work: Path, number: int = number) -> dict[str, Any]:
            for name in ("features", "weights"):
                save_tensors(folder / f"{name}.safetensors", {"x": torch.arange(50_000) * number})
            return {"metrics": number, "end": "2000-01-01"}

        entries.append(Store(home / "store").get("features", key_of("features", 1, {"number": number}), compute))
    copy_entries(entries, home / "moved", files=["features.safetensors"])
    half = [(entry, ["features.safetensors"]) for entry in entries[::2]]
    publish.replace_records(home / "moved", half)


def chapter(home: Path) -> None:
    """A profile's world rendered, its runs trained by several processes, and a chapter executed."""
    book = OURS / home.name
    book.mkdir(parents=True, exist_ok=True)
    study = open_study(load_profile("smoke"), published=book / "records")
    plans.run(study, ["vtrm"])
    publish.replace_records(book / "records", plans.entries(study, ["vtrm"]))
    publish.execute("vtrm", "smoke", book)


def book(home: Path) -> None:
    """Three pages of the book, built."""
    pages = OURS / home.name / "book"
    pages.mkdir(parents=True, exist_ok=True)
    for name in ("architecture.md", "your-data.md", "references.bib", "chapters/worlds.ipynb"):
        (pages / name).parent.mkdir(exist_ok=True)
        if not (pages / name).exists():
            shutil.copyfile(ROOT / "book" / name, OURS / f".{home.name}")
            os.replace(OURS / f".{home.name}", pages / name)
    toc = {"format": "jb-book", "root": "architecture"}
    toc["chapters"] = [{"file": "your-data"}, {"file": "chapters/worlds"}]
    (pages / "_toc.yml").write_text(json.dumps(toc))
    shutil.copyfile(ROOT / "_config.yml", pages / "_config.yml")
    (pages / "_extra").mkdir(exist_ok=True)
    publish.build(pages)


def found(home: Path) -> dict[str, Any]:
    """The result of a work that ran to its end, without dates and durations: the same when run again."""
    result: dict[str, Any] = {}
    for root in (home / "store", home / "moved", OURS / home.name / "records"):
        for entry in all_entries(root) if root.exists() else []:
            for name in entry.record["files"]:
                if (entry.folder / name).exists():
                    entry.tensors(name)
            kept = {name: entry.record[name] for name in MEASURED if name in entry.record}
            curve = [{k: v for k, v in point.items() if k != "seconds"} for point in entry.record.get("curve", [])]
            result[f"{root.name} {entry.record['stage']} {entry.key}"] = kept | {"curve": curve}
    for root in (path.parent for path in (home / "worlds").glob("*/world.json")):
        result[root.name] = hash_files(root), json.loads((root / "world.json").read_text())
    for path in (OURS / home.name).glob("chapters/*.ipynb"):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        result[path.name] = [cell.execution_count for cell in cells], [len(cell.outputs) for cell in cells]
        assert not any(output.output_type == "error" for cell in cells for output in cell.outputs), path
    site = OURS / home.name / "_build" / "html"
    for path in sorted(site.rglob("*.html")):
        text = path.read_bytes().replace(home.name.encode(), b"")
        result[path.relative_to(site).as_posix()] = hashlib.sha256(text).hexdigest()
    return result


def read(home: Path, count: Count) -> None:
    """Reads what a kill left, as any other process might at that moment, and tries every lock."""
    for root in (home / "store", home / "moved", OURS / home.name / "records"):
        try:
            for entry in all_entries(root) if root.exists() else []:
                for name in entry.record["files"]:
                    if (entry.folder / name).exists():
                        entry.tensors(name)
                count.records_read_after_kills += 1
        except (ValueError, OSError) as error:
            count.records_half_written += 1
            count.messages.append(str(error))
    begin, waiting = time.perf_counter(), list(home.rglob("*.lock"))
    while waiting and time.perf_counter() - begin < PATIENCE:
        waiting = [path for path in waiting if not is_free(path)]
        if waiting:
            time.sleep(0.01)
    count.locks_held += len(waiting)
    waited = round(time.perf_counter() - begin, 2)
    count.seconds_until_locks_were_free = max(count.seconds_until_locks_were_free, waited)


def is_free(lock: Path) -> bool:
    with open(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def left_behind(home: Path) -> list[str]:
    """What has no place in a folder whose work is done: parts of files and folders, and work that waits."""
    names = [path for root in (home, OURS / home.name) for path in root.rglob("*")]
    return [str(path) for path in names if ".partial" in path.name or path.name.endswith((".work", ".unfinished"))]


def start(work: Callable[[Path], None], home: Path) -> int:
    """Forks a process group that does the work; returns its number."""
    home.mkdir(exist_ok=True)
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        os.environ["REID_DATA"] = str(home)
        log = os.open(home / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        torch.set_num_threads(1)
        work(home)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def kill_after(child: int, seconds: float) -> bool:
    """Kills a process group after a time; whether it was still at work."""
    time.sleep(seconds)
    over, status = os.waitpid(child, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if over == 0:
        status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status)


def campaign(kind: str, kills: int, seed: int, folder: Path) -> Count:
    """Kills one kind of work so many times."""
    count, rng, work = Count(), random.Random(f"{kind} {seed}"), KINDS[kind]

    def whole(home: Path) -> dict[str, Any] | None:
        _, status = os.waitpid(start(work, home), 0)
        count.runs_to_the_end += 1
        if status:
            count.runs_failed += 1
            count.messages.append((home / "log.txt").read_text()[-2000:])
            return None
        return found(home)

    undisturbed = folder / f"{kind}-undisturbed"
    whole(folder / f"{kind}-warm")  # compiles what is compiled once
    begin = time.perf_counter()
    wanted = whole(undisturbed)
    count.seconds_undisturbed = round(time.perf_counter() - begin, 2)
    if wanted is None:
        raise SystemExit(f"{kind}: fails undisturbed: {count.messages}")
    trial = 0
    while count.kills < kills:
        trial += 1
        home = folder / f"{kind}-{trial}"
        for again in range(min(rng.randint(1, 4), kills - count.kills)):
            if kill_after(start(work, home), rng.uniform(0, count.seconds_undisturbed)):
                count.kills += 1
                count.killed_while_resuming += again > 0
                read(home, count)
        result = whole(home)
        if result is not None and result != wanted:
            count.results_different += 1
            changed = [name for name in result.keys() | wanted.keys() if result.get(name) != wanted.get(name)]
            count.messages.append(f"{home.name}: differs in {sorted(changed)[:3]}")
        remains = left_behind(home)
        count.left_behind += len(remains)
        count.messages += remains[:3]
        for root in (home, OURS / home.name):
            shutil.rmtree(root, ignore_errors=True)
        print(f"{kind}: {count.kills} of {kills} kills", flush=True)
    return count


KINDS = {"train": train, "world": world, "store": store, "chapter": chapter, "book": book}
KILLS = {"train": 80, "world": 50, "store": 80, "chapter": 6, "book": 6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--kills", type=int, help="of each kind (default: the campaign's own numbers)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--out", type=Path, default=ROOT / "book" / "records" / "faults.json")
    options = parser.parse_args()
    OURS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        counts = {}
        for kind in options.kinds:
            kills = KILLS[kind] if options.kills is None else options.kills
            counts[kind] = asdict(campaign(kind, kills, options.seed, Path(folder)))
    shutil.rmtree(OURS)
    names = [name for name, value in asdict(Count()).items() if type(value) is int]
    total = {name: sum(count[name] for count in counts.values()) for name in names}
    facts = source() | {"versions": versions(), "device": device_name(torch.device("cpu")), "seed": options.seed}
    options.out.write_text(json.dumps(facts | {"kinds": counts, "total": total}, indent=2) + "\n")
    print(json.dumps(total))
    sys.exit(any(total[name] for name in LOST))


if __name__ == "__main__":
    main()
