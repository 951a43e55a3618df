"""A study of clips in which nothing is rendered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reidlib.data import Dataset
from reidlib.study.profile import load_profile
from reidlib.study.runner import Study
from reidlib.study.store import Store


def noise(folder) -> Dataset:
    """Five persons to train on and four to test, each in two cameras; some tracklets are shorter than a clip."""
    generator = np.random.default_rng(3)
    rows = []
    for person in range(1, 10):
        for camera in (1, 2):
            split = "train" if person < 6 else "test"
            role = "train" if split == "train" else ("query" if camera == 1 else "gallery")
            for tracklet in range(1 if role == "query" else 2):
                number = len({row["sequence"] for row in rows})
                for frame in range(2 + (person + camera + tracklet) % 5):
                    path = f"{person}_{camera}_{tracklet}_{frame}.png"
                    pixels = np.clip(generator.normal(25 * person, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
                    Image.fromarray(pixels).save(folder / path)
                    rows.append(
                        {
                            "path": path,
                            "person": person,
                            "camera": camera,
                            "sequence": number,
                            "frame": frame,
                            "split": split,
                            "role": role,
                        }
                    )
    return Dataset("folder", folder, pd.DataFrame(rows), "")


@pytest.fixture(scope="session")
def clip_study(tmp_path_factory) -> Study:
    """The smoke profile on a few tracklets of noise, for every benchmark."""
    home = tmp_path_factory.mktemp("clips")
    return Study(load_profile("smoke"), Store(home / "store"), noise(home))
