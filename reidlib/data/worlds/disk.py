"""What all worlds on disk have in common: they appear complete or not at all, and say what they hold."""

import csv
import dataclasses
import hashlib
import io
import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import PIL
from PIL import Image
from tqdm import tqdm

from reidlib.data.truth import read_description
from reidlib.partial import partial_folder


def publish(spec, root: str | Path, world: str, make) -> Path:
    """Make the world of spec in the folder root by calling make(folder), and return root as a Path.

    world: "courtside" or "crosswalk". make gets a folder beside root, which takes root's name when it is complete; a
    complete world of the same spec is left as it is.
    Raises ValueError when root holds anything else than this spec's complete world.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        found = read_world(root, world)
        if found["spec"] != json.loads(spec.to_json()):
            raise ValueError(f"root: {root} holds another world ({_differences(found['spec'], spec)}); "
                             "delete the folder or choose another one")
        return root
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with partial_folder(root) as partial:
            make(partial)
            if root.exists():
                root.rmdir()                                     # empty, as checked above, unless somebody was faster
            os.replace(partial, root)
    except OSError as error:
        if (root / "world.json").is_file() and read_world(root, world)["spec"] == json.loads(spec.to_json()):
            return root
        raise ValueError(f"root: cannot write the world {root} ({error}); make room there, or choose another folder "
                         "(REID_DATA, where none was named)") from error
    return root


def fill(spec, root, world, table, groups, write_group, columns, *, splits, progress, threads):
    """Write the images, truth.csv and, last, world.json into a new folder root.

    table: the plan, with path, split and role; groups: the parts of it that are rendered together, spread over threads;
    write_group(rows, done) writes their images, calls done(1) after each, and returns (path, truth row, sha256) of
    every image; columns: of truth.csv; splits: those that world.json counts.
    """
    for folder in sorted({str(Path(path).parent) for path in table.path}):
        (root / folder).mkdir(parents=True, exist_ok=True)
    truth, digests = {}, {}
    with ThreadPoolExecutor(threads) as pool, tqdm(total=len(table), unit="image", disable=not progress, leave=False,
                                                   desc=f"rendering {world.capitalize()}") as bar:
        for results in pool.map(lambda rows: write_group(rows, bar.update), groups):
            for path, row, digest in results:
                truth[path], digests[path] = row, digest
    with open(root / "truth.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(truth[path] for path in table.path)
    digests["truth.csv"] = hashlib.sha256((root / "truth.csv").read_bytes()).hexdigest()
    counts = {split: {role: int(n) for role, n in table[table.split == split].role.value_counts().sort_index().items()}
              for split in splits}
    described = {"world": world, "version": spec.version, "spec": json.loads(spec.to_json()), "key": spec.key,
                 "manifest_hash": manifest_hash(digests), "counts": counts,
                 "made_with": {"numba": numba.__version__, "numpy": np.__version__, "pillow": PIL.__version__}}
    (root / "world.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def encode(spec, image: np.ndarray) -> bytes:
    """JPEG bytes of an image as the world writes them."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=spec.jpeg_quality)
    return buffer.getvalue()


def manifest_hash(digests: dict[str, str]) -> str:
    """sha256 (hex) over the sorted lines "path sha256" of a dict path -> sha256."""
    return hashlib.sha256("".join(f"{path} {digests[path]}\n" for path in sorted(digests)).encode()).hexdigest()


def hash_files(root: str | Path) -> str:
    """Manifest hash of a world on disk, from the bytes that lie there: all files but world.json."""
    root = Path(root)
    paths = (path for path in root.rglob("*") if path.is_file() and path != root / "world.json")
    return manifest_hash({path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                          for path in paths})


def read_world(root: str | Path, world: str = "courtside") -> dict:
    """world.json of a complete world: dict with spec, counts, manifest_hash and more.

    world: "courtside" or "crosswalk". Raises ValueError when root is no complete world of that name: no world.json, a
    broken one, or files are missing.
    """
    root = Path(root)
    path = root / "world.json"
    described = read_description(path) if path.is_file() else {}
    if described.get("world") != world:
        lacks = f"world.json is of {described['world'].capitalize()}" if described else "world.json is missing"
        raise ValueError(f"root: {root} holds no complete {world.capitalize()} world ({lacks}); "
                         "delete the folder or choose another one")
    counts = described["splits"][0] if "splits" in described else described["counts"]   # every split has all images
    wanted = sum(sum(roles.values()) for roles in counts.values())
    found = sum(1 for _ in _images(root))
    if found != wanted or not (root / "truth.csv").is_file():
        raise ValueError(f"root: {root} holds {found} of {wanted} images or lacks truth.csv; delete the folder and "
                         "render it again")
    return described


def _images(root):
    return itertools.chain(*(root.rglob(f"*.{suffix}") for suffix in ("jpeg", "jpg", "png")))


def _differences(spec, wanted):
    spec = {field.name: field.default for field in dataclasses.fields(wanted)} | spec   # to_json leaves some out
    wanted = dataclasses.asdict(wanted)
    return ", ".join(f"{name} {spec.get(name)!r} instead of {value!r}"
                     for name, value in sorted(wanted.items()) if spec.get(name) != value)
