"""Images as one uint8 tensor: decoded once, resized once, kept in memory or on the GPU.

Shapes: N images, H W pixels.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from reidlib.data.dataset import Dataset
from reidlib.data.listing import first_three
from reidlib.memory import fitting

THREADS = min(4, os.cpu_count() or 1)


def load_images(
    dataset: Dataset,
    rows: pd.DataFrame,
    height: int,
    width: int,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> Tensor:
    """The images of some rows of the data set's table, in the order of the rows.

    Decoded to RGB (turned upright where EXIF says so) and resized with Pillow's bicubic filter, which smooths when it
    shrinks; the aspect ratio is not kept. Values 0..255.
    rows: N >= 1 rows of dataset.table. height, width: H, W >= 1 pixels. progress: show a bar.
    Returns (N, 3, H, W) uint8 on the device.
    Raises ValueError when rows are empty, and when images are missing, do not decode or are larger than Pillow's limit
    against decompression bombs; all of them are counted, three are named.
    """
    if len(rows) == 0:
        raise ValueError("rows: wants at least one row of the table, got none")
    for name, value in (("height", height), ("width", width)):
        if value < 1:
            raise ValueError(f"{name}: wants 1 pixel or more, got {value}")
    with fitting(f"a tensor of {len(rows)} images of {height} x {width} pixels", "the number of images or their size"):
        pixels = torch.empty(len(rows), 3, height, width, dtype=torch.uint8)

    def fill(item: tuple[int, str]) -> str | None:
        number, path = item
        try:
            decoded = decode_image(dataset.root / path, height, width)
        except ValueError as error:
            return str(error)
        pixels[number] = torch.from_numpy(decoded).permute(2, 0, 1)
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        work = pool.map(fill, enumerate(rows["path"]))
        bar = tqdm(work, total=len(rows), desc=f"{dataset.name} images", unit="image", disable=not progress)
        failures = [failure for failure in bar if failure is not None]
    if failures:
        raise ValueError(
            f"rows: {len(failures)} of {len(rows)} images cannot be used: {first_three(failures)}; "
            f"restore the files below {dataset.root}, or take them out of the data set"
        )
    with fitting(f"a tensor of {len(rows)} images of {height} x {width} pixels", "the number of images or their size"):
        return pixels.to(device)


def decode_image(path: Path, height: int, width: int) -> np.ndarray:
    """One image file as (H, W, 3) uint8, RGB, resized. Raises ValueError naming the file when it cannot be used.

    Of 16 bits a pixel the higher 8 are kept; transparency is not looked at. Pixels of 32 bits are refused: what is
    black in them and what is white is anybody's guess.
    """
    try:
        with Image.open(path) as image:
            if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, over Pillow's limit")
            upright = _in_8_bits(ImageOps.exif_transpose(image)).convert("RGB")
            return np.array(upright.resize((width, height), Image.Resampling.BICUBIC))
    except Exception as error:      # decoders raise whatever they meet: OSError, SyntaxError, struct.error, ...
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(f"{path} ({reason})") from error


def _in_8_bits(image: Image.Image) -> Image.Image:
    """An image of 16 bits in 8, and any other as it is; Pillow itself would make all above 255 white."""
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode}, 32 bits a pixel; save it with 8 or 16")
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
