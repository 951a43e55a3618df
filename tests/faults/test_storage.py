"""Flipped bytes, full and read-only disks, many processes, records from elsewhere: an error or the right result."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import resource
import shutil
import stat
import time
from datetime import UTC, datetime

import pytest
import torch
from torch import nn

from reidlib.checkpoint import load_checkpoint, save_checkpoint, save_tensors
from reidlib.partial import partial_folder
from reidlib.study import provenance
from reidlib.study.provenance import Stopwatch
from reidlib.study.publish import replace_records
from reidlib.study.store import Store, all_entries, copy_entries, key_of, read_entry, read_record, write_record

KEY = key_of("features", 1, {"a": 1})
FEATURES = "features.safetensors"


def compute(folder, work):
    save_tensors(folder / FEATURES, {"x": torch.arange(40.0)}, {"classes": 3})
    return {"value": 0.1, "end": "2026-01-01", "row": "a"}


def flipped(whole: bytes, step: int = 1):
    """Every byte, or one of `step`, with one bit changed, in turn, and as many beginnings."""
    for at in range(0, len(whole), step):
        yield whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :]
    for length in range(0, len(whole), step):
        yield whole[:length]


@pytest.mark.parametrize("name", [FEATURES, "record.json"])
def test_every_byte_of_a_result_counts(tmp_path, name):
    entry = Store(tmp_path).get("features", KEY, compute)
    path = entry.folder / name
    whole, tried = path.read_bytes(), 0
    for broken in flipped(whole):
        path.write_bytes(broken)
        tried += 1
        try:
            found = Store(tmp_path).find("features", KEY)
            tensors = found.tensors(FEATURES)
        except ValueError as error:
            assert str(tmp_path) in str(error) and "run again" in str(error)
            continue
        # What JSON does not mean, such as a space in another place, may differ; what was recorded may not.
        assert found.record == entry.record and torch.equal(tensors["x"], torch.arange(40.0)), broken
    assert tried == 2 * len(whole)


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(3, 2)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def test_bytes_of_a_checkpoint_count(tmp_path):
    """A flipped bit in a weight is a wrong number that nothing later would show."""
    path = tmp_path / "checkpoint.safetensors"
    model, optimizer = network()
    kept = {"centers": torch.ones(3)}
    save_checkpoint(path, model, optimizer, [{"epoch": 1, "loss": 0.1}], kept)
    whole = path.read_bytes()
    assert load_checkpoint(path, *network(), {"centers": torch.zeros(3)}) == [{"epoch": 1, "loss": 0.1}]
    read = 0
    for broken in flipped(whole, step=5):
        path.write_bytes(broken)
        try:
            curve = load_checkpoint(path, *(pair := network()), centers := {"centers": torch.zeros(3)})
        except ValueError as error:
            assert "checkpoint.safetensors" in str(error) and "delete it and run again" in str(error)
            continue
        read += 1  # padding, say
        assert curve == [{"epoch": 1, "loss": 0.1}] and torch.equal(centers["centers"], kept["centers"])
        for name, value in pair[0].state_dict().items():
            assert torch.equal(value, model.state_dict()[name])
    assert read < len(whole) / 50


def test_a_record_counts_only_where_it_belongs(tmp_path):
    """Copied under another key it would be another run's number, with a checksum that is right."""
    store = Store(tmp_path)
    entry = store.get("features", KEY, compute)
    other = key_of("features", 1, {"a": 2})
    shutil.copytree(entry.folder, tmp_path / "features" / other)
    with pytest.raises(ValueError, match=f"{other}: holds the record of another result; delete this folder"):
        store.find("features", other)
    shutil.copytree(entry.folder, tmp_path / "evaluate" / KEY)
    with pytest.raises(ValueError, match="holds the record of another result"):
        store.find("evaluate", KEY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "../../outside"}, "holds the record of another result"),
        ({"key": "../../../outside"}, "holds the record of another result"),
        ({"files": {"../../secret": "0"}}, "names files that are no result's"),
        ({"files": {"/etc/hostname": "0"}}, "names files that are no result's"),
        ({"files": ["features.safetensors"]}, "names files that are no result's"),
        ({"files": None}, "names files that are no result's"),
    ],
)
def test_an_import_writes_nowhere_else(tmp_path, change, message):
    """A record from another machine says itself where it goes; it has to be where it says."""
    entry = Store(tmp_path / "theirs").get("features", KEY, compute)
    write_record(entry.folder / "record.json", entry.record | change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=message):
        copy_entries(all_entries(tmp_path / "theirs"), tmp_path / "own" / "store", files=[FEATURES])
    assert sorted(tmp_path.rglob("*")) == before


def test_an_import_follows_no_link_and_takes_no_changed_file(tmp_path):
    entry = Store(tmp_path / "theirs").get("features", KEY, compute)
    (entry.folder / FEATURES).rename(tmp_path / "elsewhere")
    (entry.folder / FEATURES).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a link, which is not followed"):
        copy_entries([entry], tmp_path / "own", files=[FEATURES])
    (entry.folder / FEATURES).unlink()
    save_tensors(entry.folder / FEATURES, {"x": torch.zeros(40)}, {"classes": 3})
    with pytest.raises(ValueError, match="differs from its record's checksum"):
        copy_entries([entry], tmp_path / "own", files=[FEATURES])
    assert not list((tmp_path / "own").rglob("*.json")) and not list((tmp_path / "own").rglob("*.safetensors"))


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", '{"checksum": 1}', '{"x": NaN, "checksum": ""}', "[" * 100_000], ids=range(7)
)
def test_what_is_no_record_is_named(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="record.json: (not a whole record|differs from its own checksum)"):
        read_record(path)


def test_what_a_killed_process_left_is_never_read_and_goes(tmp_path):
    """Also when it had written all of its record and was killed before the folder got its name."""
    store = Store(tmp_path)
    entry = store.get("features", KEY, compute)
    entry.folder.rename(tmp_path / "features" / f".{KEY}.partial-abc")
    assert store.find("features", KEY) is None and all_entries(tmp_path) == []
    store.get("features", KEY, compute)
    names = sorted(path.name for path in (tmp_path / "features").iterdir())
    assert names == [KEY, f"{KEY}.lock"]


def test_checkpoints_of_a_whole_result_go_and_of_a_half_one_stay(tmp_path, monkeypatch):
    """A kill between a result's taking its place and the end of its checkpoints."""
    store, work = Store(tmp_path), tmp_path / "features" / f"{KEY}.work"
    rmtree = shutil.rmtree

    def killed(path, **options):
        if path == work:
            raise KeyboardInterrupt
        rmtree(path, **options)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        store.get("features", KEY, compute)
    monkeypatch.undo()
    entry = store.find("features", KEY)
    (entry.folder / FEATURES).rename(tmp_path / "away")  # as of an import without it: being computed again
    assert work.exists() and store.get("features", KEY, compute) and work.exists()
    (tmp_path / "away").rename(entry.folder / FEATURES)
    assert store.get("features", KEY, compute).record == entry.record and not work.exists()


def test_a_folder_that_is_being_filled_is_left_alone(tmp_path):
    with partial_folder(tmp_path / "a") as mine, partial_folder(tmp_path / "a") as yours:
        assert mine != yours and mine.is_dir() and yours.is_dir()
        assert stat.S_IMODE(mine.stat().st_mode) == 0o755
        os.replace(mine, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def write_until_full(target, room):
    """Computes a result where no file may exceed `room` bytes: writing fails in its middle, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        Store(target).get("features", KEY, compute)
    except ValueError as error:
        os._exit(3 if "make room" in str(error) and "\n" not in str(error) else 4)
    os._exit(0)


@pytest.mark.parametrize("room", [0, 10, 200, 310])
def test_a_full_disk_is_a_sentence_and_then_the_result(tmp_path, room):
    child = multiprocessing.get_context("fork").Process(target=write_until_full, args=(tmp_path, room))
    child.start()
    child.join()
    assert child.exitcode == 3
    assert Store(tmp_path).find("features", KEY) is None
    assert [path.name for path in (tmp_path / "features").glob(".*")] == []
    assert Store(tmp_path).get("features", KEY, compute).record["value"] == 0.1


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save_tensors(path, {"x": torch.zeros(3)})
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ValueError, match="c.safetensors: cannot be written .*No space left on device.*make room"):
        save_tensors(path, {"x": torch.ones(3)})
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def as_nobody(target):
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        Store(target).get("features", KEY, compute)
    except ValueError as error:
        assert "cannot write to" in str(error) and "REID_DATA" in str(error)
        os._exit(3)
    os._exit(0)


@pytest.mark.parametrize("made", [False, True])
def test_a_read_only_folder_is_a_sentence(made):
    """Below /tmp itself: another user does not get into pytest's folders."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root = os.path.join(folder, "store")
        os.makedirs(os.path.join(root, "features") if made else root)
        for path in (os.path.join(root, "features"), root, folder):
            if os.path.exists(path):
                os.chmod(path, 0o555)
        child = multiprocessing.get_context("fork").Process(target=as_nobody, args=(root,))
        child.start()
        child.join()
        for path in (folder, root):
            os.chmod(path, 0o755)
        assert child.exitcode == 3


def fill(root, order, seconds):
    store = Store(root)
    for number in order:

        def slow(folder, work, number=number):
            (work / f"{os.getpid()}").touch()
            assert len(list(work.iterdir())) == 1, "two processes compute one key"
            time.sleep(seconds)
            save_tensors(folder / FEATURES, {"x": torch.full((10,), number)})
            return {"value": number, "end": "2026-01-01"}

        entry = store.get("features", key_of("features", 1, {"number": number}), slow)
        assert entry.record["value"] == number and entry.tensors(FEATURES)["x"].unique().tolist() == [number]
        assert {entry.record["value"] for entry in all_entries(root)} <= set(range(12))


def test_eight_processes_on_one_store(tmp_path):
    """In eight orders, each key once; readers never see half of one."""
    context = multiprocessing.get_context("fork")
    orders = [[(7 * number + start) % 12 for number in range(12)] for start in range(8)]
    processes = [context.Process(target=fill, args=(tmp_path, order, 0.01)) for order in orders]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * 8
    assert sorted(entry.record["value"] for entry in all_entries(tmp_path)) == list(range(12))
    assert not list(tmp_path.glob("*/.*")) and not list(tmp_path.glob("*/*.work"))


def test_a_lock_goes_with_its_process(tmp_path):
    def hang(folder, work):
        (work / "begun").touch()
        time.sleep(600)

    context = multiprocessing.get_context("fork")
    holder = context.Process(target=Store(tmp_path).get, args=("features", KEY, hang))
    holder.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "features" / f"{KEY}.work" / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with open(tmp_path / "features" / f"{KEY}.lock") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    holder.kill()
    holder.join()
    assert Store(tmp_path).get("features", KEY, compute).record["value"] == 0.1


def test_two_that_copy_the_same_do_not_meet(tmp_path):
    entries = [Store(tmp_path / "a").get("features", key_of("features", 1, {"n": n}), compute) for n in range(20)]
    context = multiprocessing.get_context("fork")
    arguments = {"args": (entries, tmp_path / "b"), "kwargs": {"files": [FEATURES]}}
    processes = [context.Process(target=copy_entries, **arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(all_entries(tmp_path / "b")) == 20 and not list(tmp_path.glob("b/*/.*"))


def test_a_clock_that_jumps_moves_dates_and_nothing_else(tmp_path, monkeypatch):
    class Clock:
        now_is = datetime(2030, 1, 1, tzinfo=UTC)

        @classmethod
        def now(cls, zone):
            return cls.now_is

    monkeypatch.setattr(provenance, "datetime", Clock)
    watch = Stopwatch(torch.device("cpu"))
    Clock.now_is = datetime(1990, 1, 1, tzinfo=UTC)
    fields = watch.fields()
    assert fields["start"] > fields["end"] and fields["seconds"] >= 0
    store = Store(tmp_path)
    first = store.get("features", KEY, lambda folder, work: compute(folder, work) | fields)
    for path in tmp_path.rglob("*"):
        os.utime(path, (0, 0))  # 1970
    assert store.get("features", KEY, lambda *_: pytest.fail("computed again")).record == first.record


def test_records_are_replaced_without_a_moment_at_which_one_is_lost(tmp_path, monkeypatch):
    """Stopped at every step of it, each record lies in the book or in the store, and the next try ends the same."""
    store = Store(tmp_path / "store")
    entries = [store.get("features", key_of("features", 1, {"n": n}), compute) for n in range(4)]
    published = tmp_path / "records"
    copy_entries(entries[:3], published, files=[FEATURES])
    shutil.rmtree(tmp_path / "store" / "features" / entries[0].key)  # it lies in the book alone

    class Killed(BaseException):
        pass

    finished, stop = False, 0
    real = {"replace": os.replace, "rmtree": shutil.rmtree}
    while not finished:
        work, steps = tmp_path / f"try-{stop}", iter(range(10**6))
        shutil.copytree(published, work)

        def step(name, *arguments, steps=steps, stop=stop, **options):
            if next(steps) == stop:
                raise Killed
            return real[name](*arguments, **options)

        monkeypatch.setattr(os, "replace", lambda *a, **k: step("replace", *a, **k))
        monkeypatch.setattr(shutil, "rmtree", lambda *a, **k: step("rmtree", *a, **k))
        found = [(read_entry(work / "features" / entries[0].key), [FEATURES]), (entries[1], []), (entries[3], [])]
        try:
            replace_records(work, found)
            finished = True
        except Killed:
            monkeypatch.undo()
            read_entry(work / "features" / entries[0].key).tensors(FEATURES)
            replace_records(work, found)
        monkeypatch.undo()
        kept = {entry.key: (entry.folder / FEATURES).exists() for entry in all_entries(work)}
        assert kept == {entries[0].key: True, entries[1].key: False, entries[3].key: False}
        stop += 1
    assert stop > 4
    assert json.loads((work / "features" / entries[3].key / "record.json").read_text())["value"] == 0.1
