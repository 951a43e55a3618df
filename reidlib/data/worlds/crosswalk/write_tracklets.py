"""What lies beside the frames in the layouts of MARS, iLIDS-VID and PRID 2011: lists, tracklets, queries and splits."""

import io

import numpy as np
import pandas as pd
from PIL import Image
from scipy.io import savemat

from reidlib.data.worlds.crosswalk.plan_tracklets import ROWS, in_split, ls_set
from reidlib.data.worlds.crosswalk.spec import SPLITS, CrosswalkSpec

_SPLITS = {"ilidsvid": "train-test people splits/train_test_splits_ilidsvid.mat",
           "prid2011": "train_test_splits_prid.mat"}
_HEADER = b"MATLAB 5.0 MAT-file, rendered".ljust(116)                  # savemat's own has platform and date


def index_files(spec: CrosswalkSpec, table: pd.DataFrame) -> dict[str, bytes]:
    """The files beside the images by their paths, the same bytes for the same spec; {} in Market-1501's layout.

    table: the plan. MARS: info/ with the names of all images, the first and last line, person and camera of each
    tracklet, and which tracklets are queries, all counted from 1. Two cameras: ls_set, a split in a row.
    """
    if spec.layout == "market1501":
        return {}
    if spec.layout != "mars":
        return {_SPLITS[spec.layout]: _mat(ls_set=ls_set(spec))}
    files = {}
    for split in SPLITS:
        frames = table[table["split"] == split].sort_values("path", ignore_index=True)
        names = frames["path"].str.rsplit("/", n=1).str[1]
        whose = frames.assign(line=np.arange(1, len(frames) + 1)).groupby(names.str.split("F").str[0], sort=False)
        tracks = whose.agg(first=("line", "min"), last=("line", "max"), person=("person", "first"),
                           camera=("camera", "first"))
        files[f"info/{split}_name.txt"] = "".join(f"{name}\n" for name in names).encode()
        files[f"info/tracks_{split}_info.mat"] = _mat(**{f"track_{split}_info": tracks.to_numpy()})
        if split == "test":
            asks = np.flatnonzero(whose["role"].first() == "query") + 1
            files["info/query_IDX.mat"] = _mat(query_IDX=asks[None])
    return files


def counts_of_splits(spec: CrosswalkSpec, table: pd.DataFrame) -> list[dict[str, dict[str, int]]]:
    """Images by split and role in each of the splits of a world of two cameras; table: the plan."""
    counts = []
    for number in range(ROWS):
        roles = in_split(spec, table, number)["role"].value_counts()
        counts.append({"train": {"train": int(roles["train"])},
                       "test": {role: int(roles[role]) for role in ("gallery", "query")}})
    return counts


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of an image (H, W, 3) uint8."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def _mat(**matrices):
    """Bytes of a MATLAB file of version 5 that holds matrices of doubles, as MATLAB's own are."""
    buffer = io.BytesIO()
    savemat(buffer, {name: np.asarray(matrix, float) for name, matrix in matrices.items()})
    return _HEADER + buffer.getvalue()[len(_HEADER):]
