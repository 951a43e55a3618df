"""A batch augmented at once, against torchvision's transforms one image after the other.

    python -m benchmarks.augmentation [--batch 128] [--height 256] [--width 128] [--rounds 7]

Both have the same probabilities and strengths. torchvision works on PIL images, as data loaders have them, with the
erasing on tensors; it has no local grey, so ours does one thing more where everything is on. With one thread each, too,
as in the worker of a data loader: on a busy machine torchvision is slower with two, which wait for each other.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from PIL import Image
from torchvision import transforms as T

from benchmarks import arguments
from benchmarks.compare import Side, measure, ratio, row, write
from reidlib.augment import IMAGENET_MEAN, IMAGENET_STD, Augmentation

PLAIN = "flip, pad and crop, erasing"
ALL = "all of it"
OURS = {
    PLAIN: Augmentation(flip=0.5, pad=10, erasing=0.5),
    ALL: Augmentation(flip=0.5, pad=10, erasing=0.5, affine=0.5, grey=0.5, jitter=0.5, auto=0.1),
}


def pixels(batch: int, height: int, width: int) -> torch.Tensor:
    """(B, 3, H, W) uint8: smooth pictures with some noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, 8, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noise = 0.03 * torch.randn(smooth.shape, generator=generator)
    return (255 * (smooth + noise)).clamp(0, 255).to(torch.uint8)


def ours(what: str, batch: int, height: int, width: int):
    images, generator = pixels(batch, height, width), torch.Generator().manual_seed(0)
    OURS[what].apply(images[:2], generator)
    return lambda: OURS[what].apply(images, generator)


def of_torchvision(what: str, batch: int, height: int, width: int):
    ours_has = OURS[what]
    steps = [T.RandomHorizontalFlip(ours_has.flip), T.Pad(ours_has.pad), T.RandomCrop((height, width))]
    if what == ALL:
        some = [T.RandomAffine(ours_has.affine_degrees, scale=ours_has.affine_scale, shear=ours_has.affine_shear,
                               interpolation=T.InterpolationMode.BILINEAR)]
        colours = T.ColorJitter(ours_has.jitter_brightness, ours_has.jitter_contrast, ours_has.jitter_saturation,
                                ours_has.jitter_hue)
        steps = [T.RandomApply([T.AutoAugment()], ours_has.auto), T.RandomApply(some, ours_has.affine), *steps,
                 T.RandomApply([colours], ours_has.jitter)]
    steps += [T.ToTensor(), T.Normalize(IMAGENET_MEAN, IMAGENET_STD),
              T.RandomErasing(ours_has.erasing, ours_has.erasing_area, ours_has.erasing_aspect)]
    transform = T.Compose(steps)
    torch.manual_seed(0)
    pictures = [Image.fromarray(image) for image in pixels(batch, height, width).permute(0, 2, 3, 1).numpy()]
    transform(pictures[0])
    return lambda: torch.stack([transform(picture) for picture in pictures])


def moments(images: torch.Tensor) -> tuple[np.ndarray, float]:
    """The channels' means and the share of zeros, of a (B, 3, H, W) answer: small, and a hint that the work was done.

    The pixels themselves are tested elsewhere against torchvision's, one operation at a time.
    """
    return images.mean(dim=(0, 2, 3)).numpy(), float((images == 0).float().mean())


def main(argv=None) -> None:
    options = arguments.read(__doc__, argv, peers=False, batch=128, height=256, width=128, rounds=7)
    size = (options.batch, options.height, options.width)
    rows, checks = [], {}
    sides = {"reidlib": ours, "torchvision": of_torchvision}
    for what, threads in product(OURS, (2, 1)):
        found = measure({name: Side(side, (what, *size), tell=moments) for name, side in sides.items()}, options.rounds,
                        threads)
        mine, theirs = (found[name].answer for name in sides)
        checks[f"channel means, {what}"] = float(np.abs(mine[0] - theirs[0]).max())
        checks[f"share erased, {what}"] = abs(mine[1] - theirs[1])
        alone = ", one thread each" if threads == 1 else ""
        rows.append(row(f"augmentation: {what}", f"batch {size[0]}, {size[1]} × {size[2]}{alone}", "torchvision",
                        "at least 5 times as fast", ratio(found["torchvision"], found["reidlib"]), at_least=5,
                        sides=found))
    write("augmentation", 50, rows, options.out, checks={"difference of two random batches": checks})


if __name__ == "__main__":
    main()
