"""The store: keys, whole entries, checksums, one computation for many askers."""

from __future__ import annotations

import json
import multiprocessing
import time

import pytest
import torch

from reidlib.checkpoint import save_tensors
from reidlib.study.store import Store, all_entries, copy_entries, key_of, read_record


def compute(folder, work):
    save_tensors(folder / "features.safetensors", {"x": torch.arange(4.0)})
    return {"value": 0.1, "end": "2026-01-01", "row": "a"}


KEY = key_of("features", 1, {"a": 1})


def test_key_depends_on_everything_but_order():
    assert key_of("s", 1, {"a": 1, "b": 2}, ["p", "q"]) == key_of("s", 1, {"b": 2, "a": 1}, ["q", "p"])
    others = [
        key_of("t", 1, {"a": 1}),
        key_of("s", 2, {"a": 1}),
        key_of("s", 1, {"a": 2}),
        key_of("s", 1, {"a": 1}, ["p"]),
    ]
    assert len({*others, key_of("s", 1, {"a": 1})}) == 5


def test_computes_once_and_reads_back(tmp_path):
    store = Store(tmp_path)
    first = store.get("features", KEY, compute)
    again = store.get("features", KEY, lambda *_: pytest.fail("computed twice"))
    assert again.record == first.record
    assert torch.equal(again.tensors("features.safetensors")["x"], torch.arange(4.0))


def test_failed_computation_leaves_no_entry_and_keeps_its_work(tmp_path):
    def fail(folder, work):
        (folder / "half").write_text("x")
        (work / "checkpoint").write_text("epoch 3")
        raise RuntimeError("killed")

    store = Store(tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        store.get("features", KEY, fail)
    assert store.find("features", KEY) is None
    assert not list(tmp_path.glob("features/.*"))

    def resume(folder, work):
        assert (work / "checkpoint").read_text() == "epoch 3"
        return compute(folder, work)

    store.get("features", KEY, resume)
    assert not (tmp_path / "features" / f"{KEY}.work").exists()


@pytest.mark.parametrize("name", ["features.safetensors", "record.json"])
def test_flipped_byte_is_found(tmp_path, name):
    store = Store(tmp_path)
    entry = store.get("features", KEY, compute)
    path = entry.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=f"{name}.*(checksum|not a whole record)"):
        store.find("features", KEY).tensors("features.safetensors")


def test_published_records_are_found_and_never_written(tmp_path):
    published = tmp_path / "published"
    copy_entries([Store(tmp_path / "a").get("features", KEY, compute)], published)
    before = sorted(published.rglob("*"))
    reader = Store(tmp_path / "b", published)
    assert reader.find("features", KEY).record["value"] == 0.1
    assert reader.find("features", KEY, needs="features.safetensors") is None
    with pytest.raises(ValueError, match="not published with its record"):
        reader.find("features", KEY).tensors("features.safetensors")
    reader.get("features", KEY, compute, needs="features.safetensors")
    assert sorted(published.rglob("*")) == before


def test_export_and_import_round_trip(tmp_path):
    first = Store(tmp_path / "a")
    entry = first.get("features", KEY, compute)
    copy_entries([entry], tmp_path / "moved", files=["features.safetensors"])
    second = Store(tmp_path / "b")
    copy_entries(all_entries(tmp_path / "moved"), second.root, files=["features.safetensors"])
    assert second.find("features", KEY, needs="features.safetensors").record == entry.record


def test_record_is_plain_json_with_a_checksum(tmp_path):
    entry = Store(tmp_path).get("features", KEY, compute)
    assert "checksum" in json.loads((entry.folder / "record.json").read_text())
    assert read_record(entry.folder / "record.json")["files"]["features.safetensors"]


def _ask(root, counter):
    def slow(folder, work):
        with counter.get_lock():
            counter.value += 1
        time.sleep(0.3)
        return compute(folder, work)

    Store(root).get("features", KEY, slow)


def test_processes_that_ask_for_one_key_compute_it_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    counter = context.Value("i", 0)
    processes = [context.Process(target=_ask, args=(tmp_path, counter)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert counter.value == 1
