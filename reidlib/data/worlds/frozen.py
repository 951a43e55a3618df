"""Frozen worlds: specs that were calibrated on the baseline, named, and may never render to other bytes again."""

import json
from pathlib import Path

from reidlib.data.worlds.crosswalk.spec import CrosswalkSpec
from reidlib.data.worlds.disk import hash_files, read_world
from reidlib.data.worlds.spec import CourtsideSpec

Spec = CourtsideSpec | CrosswalkSpec
_SPECS = {"courtside": CourtsideSpec, "crosswalk": CrosswalkSpec}    # by the first word of a frozen world's name
_FILE = Path(__file__).with_name("frozen.json")


def _entries(file):
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def frozen_manifest(spec: Spec, *, file: Path = _FILE) -> str | None:
    """Manifest hash that the world of spec was frozen with, or None when it was never frozen."""
    entry = _entries(file).get(spec.key)
    return entry["manifest_hash"] if entry else None


def frozen_spec(name: str, *, file: Path = _FILE) -> Spec:
    """The spec that was frozen under a name.

    Raises ValueError listing the frozen names when there is none of this name.
    """
    entries = _entries(file).values()
    for entry in entries:
        if entry["name"] == name:
            return _SPECS[name.split("-")[0]](**entry["spec"])
    known = ", ".join(sorted(entry["name"] for entry in entries)) or "none"
    raise ValueError(f"name: no world is frozen as {name!r}; frozen: {known}")


def freeze(spec: Spec, root: str | Path, name: str, *, file: Path = _FILE) -> str:
    """Add the world of spec, complete in root, to the frozen worlds under a name; return its manifest hash.

    name: "courtside-..." or "crosswalk-...".
    Raises ValueError for another name, when root holds another world, its files are not those it was written with, or
    the spec or the name is frozen otherwise already.
    """
    if _SPECS.get(name.split("-")[0]) is not type(spec):
        raise ValueError(f"name: wants {' or '.join(f'{word}-...' for word in _SPECS)} as the world is, got {name!r}")
    world = read_world(root, name.split("-")[0])
    if world["spec"] != json.loads(spec.to_json()):
        raise ValueError(f"root: {root} holds the world {world['key']}, not {spec.key}")
    found = hash_files(root)
    if found != world["manifest_hash"]:
        raise ValueError(f"root: the files in {root} have changed since they were written; render the world again")
    entries = _entries(file)
    for key, entry in entries.items():
        if (key == spec.key) != (entry["name"] == name) or (key == spec.key and entry["manifest_hash"] != found):
            raise ValueError(f"name: {entry['name']!r} is frozen already, as {key} with manifest hash "
                             f"{entry['manifest_hash'][:12]}; this world is {spec.key} with {found[:12]}")
    entries[spec.key] = {"name": name, "manifest_hash": found, "spec": world["spec"]}
    file.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return found
