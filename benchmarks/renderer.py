"""Images a second that the renderer writes to disk, JPEG and truth included; a whole small Courtside.

    python -m benchmarks.renderer [--identities 60] [--rounds 3]

The world is written a second time by one thread, and some images are rendered alone: the bytes have to be the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import arguments
from benchmarks.compare import Side, measure, row, write
from reidlib.data.worlds import CourtsideSpec, hash_files, read_world, render_image, write_courtside
from reidlib.data.worlds.disk import encode
from reidlib.data.worlds.plan import plan

TINY = {"val_ids": 0, "test_ids": 0, "train_images": 0, "val_gallery": 0, "test_gallery": 0}


def spec_of(identities: int) -> CourtsideSpec:
    return CourtsideSpec(train_ids=identities, seed=7, **TINY)


def renderer(identities: int):
    spec = spec_of(identities)
    render_image(spec, "train", int(plan(spec).true_person.iloc[0]), 0)  # compiles

    def work():
        with tempfile.TemporaryDirectory() as folder:
            return read_world(write_courtside(spec, Path(folder) / "world", progress=False))["manifest_hash"]

    return work


def differing(spec: CourtsideSpec, root: Path, every: int) -> int:
    """Files of a written world, one of so many, that are not what rendering their image alone gives."""
    return sum((root / image.path).read_bytes() != encode(spec, render_image(
        spec, image.split, image.true_person, image.frame)[0]) for image in plan(spec).iloc[::every].itertuples())


def main(argv=None) -> None:
    options = arguments.read(__doc__, argv, peers=False, identities=60, rounds=3)
    spec = spec_of(options.identities)
    found = measure({"reidlib": Side(renderer, (options.identities,))}, options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        root = write_courtside(spec, Path(folder) / "world", progress=False, threads=1)
        checks = {"rendered alone": differing(spec, root, every=7),
                  "two threads or one": int(hash_files(root) != found["reidlib"].answer)}
    assert not any(checks.values()), checks
    images = spec.images("train")
    rows = [row("renderer", f"{spec.height} × {spec.width}, {images:,} images written", "the clock",
                "at least 150 images/s", images / found["reidlib"].best, "images/s", at_least=150, sides=found)]
    write("renderer", 40, rows, options.out, checks={"images or worlds that differ": checks})


if __name__ == "__main__":
    main()
