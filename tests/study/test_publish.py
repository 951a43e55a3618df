"""Publishing: the records of a book are replaced whole, and none is lost that lies nowhere else."""

from __future__ import annotations

import torch

from reidlib.checkpoint import save_tensors
from reidlib.study.publish import replace_records
from reidlib.study.store import Store, all_entries, key_of


def compute(folder, work):
    save_tensors(folder / "features.safetensors", {"x": torch.arange(4.0)})
    save_tensors(folder / "weights.safetensors", {"x": torch.arange(9.0)})
    return {"value": 0.1, "end": "2026-01-01", "row": "a"}


def test_records_that_lie_in_the_book_alone_survive_and_others_go(tmp_path):
    """As on another machine: what was published before is in the book and not in its user's store."""
    store, records = Store(tmp_path / "store"), tmp_path / "records"
    keys = {name: key_of("features", 1, {"name": name}) for name in ("old", "kept", "new")}
    entries = {name: store.get("features", key, compute) for name, key in keys.items()}
    (records / "evaluate").mkdir(parents=True)
    (records / "calibration.json").write_text("{}")
    replace_records(records, [(entries["old"], []), (entries["kept"], ["features.safetensors"])])
    published = Store(tmp_path / "empty", published=records)
    kept = published.find("features", keys["kept"], needs="features.safetensors")
    replace_records(records, [(kept, ["features.safetensors"]), (entries["new"], [])])
    assert {entry.key for entry in all_entries(records)} == {keys["kept"], keys["new"]}
    found = published.find("features", keys["kept"])
    assert torch.equal(found.tensors("features.safetensors")["x"], torch.arange(4.0))
    assert sorted(path.name for path in found.folder.iterdir()) == ["features.safetensors", "record.json"]
    assert sorted(path.name for path in records.iterdir()) == ["calibration.json", "features"]
