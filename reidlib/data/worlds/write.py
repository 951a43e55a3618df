"""A world on disk, in SynergyReID's own layout, with its truth beside it."""

import csv
import hashlib
import io
import itertools
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import PIL
from PIL import Image
from tqdm import tqdm

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.courtside import compute_shot, render_image
from reidlib.data.worlds.motion import sample
from reidlib.data.worlds.plan import plan
from reidlib.data.worlds.spec import SPLITS, CourtsideSpec

_TRUTH = ("path", "person", "true_person", "shot", "frame", "time", "visible", "heading", "x", "y")


def write_courtside(spec: CourtsideSpec, root: str | Path, *, progress: bool = True, threads: int = 2) -> Path:
    """Render the whole world of spec into the folder root, and return it as a Path.

    root/data_reid/reid_training/*.jpeg, root/data_reid/reid_{val,test}/{query,gallery}/*.jpeg, files named
    person_shot_frame.jpeg; root/truth.csv (true person, time in s, visible fraction, heading in rad, position in m);
    root/world.json (spec, counts, manifest hash, versions). The bytes depend on spec alone, not on threads.
    Rendering goes to a folder beside root, which takes root's name when it is complete; a complete world of the same
    spec is left as it is. progress: show a bar with the time left.
    Raises ValueError when root holds anything else than this spec's complete world.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        found = read_world(root)
        if found["spec"] != json.loads(spec.to_json()):
            raise ValueError(f"root: {root} holds another world ({_differences(found['spec'], spec)}); "
                             "delete the folder or choose another one")
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.with_name(f"{root.name}.partial-{os.getpid()}")
    try:
        _render_all(spec, partial, progress, threads)
        if root.exists():
            root.rmdir()                                         # empty, as checked above, unless somebody was faster
        os.replace(partial, root)
    except OSError:
        if not (root / "world.json").is_file() or read_world(root)["spec"] != json.loads(spec.to_json()):
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def _render_all(spec, root, progress, threads):
    """Write the images, truth.csv and, last, world.json into a new folder."""
    table = plan(spec)
    for folder in sorted({str(Path(path).parent) for path in table.path}):
        (root / folder).mkdir(parents=True)
    shots = [group for _, group in table.sort_values(["frame"], kind="stable").groupby(["split", "shot"], sort=False)]
    truth, digests = {}, {}
    with ThreadPoolExecutor(threads) as pool, tqdm(total=len(table), unit="image", disable=not progress, leave=False,
                                                   desc="rendering Courtside") as bar:
        for results in pool.map(lambda rows: _write_shot(spec, root, rows, bar.update), shots):
            for path, row, digest in results:
                truth[path], digests[path] = row, digest
    with open(root / "truth.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_TRUTH)
        rows.writerows(truth[path] for path in table.path)
    digests["truth.csv"] = hashlib.sha256((root / "truth.csv").read_bytes()).hexdigest()
    counts = {split: {role: int(n) for role, n in table[table.split == split].role.value_counts().sort_index().items()}
              for split in SPLITS}
    world = {"world": "courtside", "version": spec.version, "spec": json.loads(spec.to_json()), "key": spec.key,
             "manifest_hash": manifest_hash(digests), "counts": counts,
             "made_with": {"numba": numba.__version__, "numpy": np.__version__, "pillow": PIL.__version__}}
    (root / "world.json").write_text(json.dumps(world, indent=2) + "\n", encoding="utf-8")


def _write_shot(spec, root, rows, done):
    """Render and write the images of one shot: list of (path, truth row, sha256)."""
    split, index = rows.split.iloc[0], int(rows["shot"].iloc[0])
    shot = compute_shot(spec, split, index)
    results = []
    for row in rows.itertuples():
        image, visible = render_image(spec, split, row.true_person, row.frame)
        data = encode(spec, image)
        (root / row.path).write_bytes(data)
        time = row.frame * spec.frame_interval
        state = sample(shot.states, time)[row.slot]
        heading = np.arctan2(np.sin(state[at.HEADING]), np.cos(state[at.HEADING]))
        numbers = [f"{value:.4f}" for value in (time, visible, heading, state[at.X], state[at.Y])]
        results.append((row.path, [row.path, row.person, row.true_person, index, row.frame, *numbers],
                        hashlib.sha256(data).hexdigest()))
        done(1)
    return results


def encode(spec: CourtsideSpec, image: np.ndarray) -> bytes:
    """JPEG bytes of an image as the world writes them."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=spec.jpeg_quality)
    return buffer.getvalue()


def manifest_hash(digests: dict[str, str]) -> str:
    """sha256 (hex) over the sorted lines "path sha256" of a dict path -> sha256."""
    return hashlib.sha256("".join(f"{path} {digests[path]}\n" for path in sorted(digests)).encode()).hexdigest()


def hash_files(root: str | Path) -> str:
    """Manifest hash of a world on disk, from the bytes that lie there: all images and truth.csv."""
    root = Path(root)
    paths = itertools.chain((root / "data_reid").rglob("*.jpeg"), [root / "truth.csv"])
    return manifest_hash({path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                          for path in paths})


def read_world(root: str | Path) -> dict:
    """world.json of a complete world: dict with spec, counts, manifest_hash and more.

    Raises ValueError when root is no complete Courtside world: no world.json, or files are missing.
    """
    root = Path(root)
    path = root / "world.json"
    if not path.is_file():
        raise ValueError(f"root: {root} holds no complete Courtside world (world.json is missing); "
                         "delete the folder or choose another one")
    world = json.loads(path.read_text(encoding="utf-8"))
    wanted = sum(sum(roles.values()) for roles in world["counts"].values())
    found = sum(1 for _ in (root / "data_reid").rglob("*.jpeg"))
    if found != wanted or not (root / "truth.csv").is_file():
        raise ValueError(f"root: {root} holds {found} of {wanted} images or lacks truth.csv; delete the folder and "
                         "render it again")
    return world


def _differences(spec, wanted):
    wanted = json.loads(wanted.to_json())
    return ", ".join(f"{name} {spec.get(name)!r} instead of {wanted[name]!r}"
                     for name in wanted if spec.get(name) != wanted[name])
