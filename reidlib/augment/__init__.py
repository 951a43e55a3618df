"""Augmentation of a whole batch at once, on the device that holds it.

Every random choice comes from the torch.Generator that the caller passes, drawn on the generator's own device: one
seed gives the same pictures on CPU and GPU, but for rounding, when the generator lives on the CPU. The steps in torch
say what is done (`reidlib.augment.steps`); on the CPU kernels do it faster, bit for bit (`reidlib.augment.fused`).
Shapes: B images (clips of T frames follow one another), H and W height and width, N draws.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from reidlib.augment.boxes import erase, grey_boxes
from reidlib.augment.colour import NEUTRAL, jitter_colours
from reidlib.augment.draws import draw_boxes, uniform
from reidlib.augment.fused import can_fuse, in_kernels
from reidlib.augment.geometry import affine, flip, pad_and_crop
from reidlib.augment.pixels import IMAGENET_MEAN, IMAGENET_STD, SCALES, check_pixels, normalise
from reidlib.augment.policy import SUB_POLICIES, auto_augment
from reidlib.augment.steps import Draws, in_torch

__all__ = [
    "IMAGENET_MEAN", "IMAGENET_STD", "LATER", "Augmentation", "affine", "auto_augment", "draw_boxes", "erase", "flip",
    "grey_boxes", "jitter_colours", "normalise", "pad_and_crop",
]

LATER = {"later": True}                  # came after runs were recorded: at its default it is no part of a run's key


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What the reports do to their training images, in this order.

    AutoAugment, turn, flip, pad and crop, colour jitter, grey, normalise, erase: FastReID's order, but that it turns
    after the colour jitter. Images come in their final size; FastReID resizes them after AutoAugment.

    flip: probability of a horizontal flip.
    pad: pixels of black added on every side before a window of the old size is cut out at random; 0 is no cropping.
        The report's 10 are meant for 384×128 images: scale them with the images.
    erasing: probability of random erasing; the box takes a share of the image drawn from `erasing_area` and has a
        height/width ratio drawn log-uniformly from `erasing_aspect`. It is filled with the mean, 0 after normalising.
    frames: T, images per clip. T consecutive images share every draw; 1 draws for each image alone.
    affine: probability of an affine transformation about the image's centre: a turn of up to `affine_degrees` either
        way, a factor on its size from `affine_scale` and a shear of up to `affine_shear` degrees either way, all drawn
        uniformly; what comes from outside is black.
    grey: probability of the local grayscale transformation: a box, drawn as for erasing, loses its colour.
    jitter: probability of colour jitter: brightness, contrast and saturation times a factor drawn uniformly from
        1 - strength to 1 + strength (0.15, 0.15 and 0.1), the hue shifted by up to `jitter_hue` of a whole turn either
        way, one after the other in an order drawn for each image.
    auto: probability of AutoAugment with its policy for ImageNet, on whole pixels from 0 to 255.
    unchanged: probability that a clip (or image, as for every draw) is left as it is, neither flipped nor cropped nor
        erased; for these three steps alone.
    scale: of the pixels that the model sees, as `normalise` has it.
    erasing_again: probability of a second erasing of the same kind. `apply_and_tell` then tells of that one alone.
    Raises ValueError for a value out of its range.
    Sources: report 000, Section 2.2; its numbers are FastReID's defaults. Zhong et al., Random Erasing (AAAI 2020).
    Report 001, Section 2.1, gives no values: affine is FastReID's (its 0.1 of shear is in degrees), grey Gong's, A
    General Multi-Modal Data Learning Method (2021), whose code draws the aspect uniformly and, by a slip, checks
    the box's width against the image's height.
    Report 002, Section 3.2, gives the probability of colour jitter, 0.5, and nothing else: the strengths are FastReID's
    defaults; its probability of AutoAugment is 0.1.
    Report 003, Section 2.1: clips "either are augmented synchronously or remain unchanged", with no probability;
    Section 3.2: pixels in [-1, 1].
    Report 004, Methodology: frames with an erased patch are labelled; its code erases twice and labels the second time.
    """

    flip: float = 0.5
    pad: int = 10
    erasing: float = 0.5
    erasing_area: tuple[float, float] = (0.02, 0.33)
    erasing_aspect: tuple[float, float] = (0.3, 3.3)
    frames: int = 1
    affine: float = field(default=0.0, metadata=LATER)
    affine_degrees: float = field(default=10.0, metadata=LATER)
    affine_scale: tuple[float, float] = field(default=(0.9, 1.1), metadata=LATER)
    affine_shear: float = field(default=0.1, metadata=LATER)
    grey: float = field(default=0.0, metadata=LATER)
    grey_area: tuple[float, float] = field(default=(0.02, 0.4), metadata=LATER)
    grey_aspect: tuple[float, float] = field(default=(0.3, 1 / 0.3), metadata=LATER)
    jitter: float = field(default=0.0, metadata=LATER)
    jitter_brightness: float = field(default=0.15, metadata=LATER)
    jitter_contrast: float = field(default=0.15, metadata=LATER)
    jitter_saturation: float = field(default=0.1, metadata=LATER)
    jitter_hue: float = field(default=0.1, metadata=LATER)
    auto: float = field(default=0.0, metadata=LATER)
    unchanged: float = field(default=0.0, metadata=LATER)
    scale: str = field(default="imagenet", metadata=LATER)
    erasing_again: float = field(default=0.0, metadata=LATER)

    def __post_init__(self):
        for name in ("flip", "erasing", "affine", "grey", "jitter", "auto", "unchanged", "erasing_again"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: want a probability in [0, 1], got {getattr(self, name)!r}")
        if self.unchanged and (self.affine or self.grey or self.jitter or self.auto):
            raise ValueError("unchanged: wants no affine, grey, jitter or auto, which it would not hold back")
        if self.scale not in SCALES:
            raise ValueError(f"scale: want one of {', '.join(SCALES)}, got {self.scale!r}")
        for name, least in (("pad", 0), ("frames", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name}: want an int >= {least}, got {value!r}")
        for name, largest in (("affine_degrees", 180), ("affine_shear", 80)):
            if not 0 <= getattr(self, name) <= largest:
                raise ValueError(f"{name}: want degrees in [0, {largest}], got {getattr(self, name)!r}")
        for name, largest in (
            ("jitter_brightness", 1), ("jitter_contrast", 1), ("jitter_saturation", 1), ("jitter_hue", 0.5),
        ):
            if not 0 <= getattr(self, name) <= largest:
                raise ValueError(f"{name}: want a strength in [0, {largest}], got {getattr(self, name)!r}")
        for name, largest in (
            ("erasing_area", 1), ("erasing_aspect", math.inf), ("grey_area", 1), ("grey_aspect", math.inf),
            ("affine_scale", math.inf),
        ):
            low, high = getattr(self, name)
            if not 0 < low <= high <= largest:
                raise ValueError(f"{name}: want 0 < low <= high <= {largest}, got {(low, high)!r}")

    def apply(self, images: Tensor, generator: Generator) -> Tensor:
        """Images (B, 3, H, W), uint8 or float in [0, 255] -> augmented and normalised float32 (B, 3, H, W).

        generator: where all randomness comes from; how much is drawn depends on B / frames and the options only.
        Raises ValueError for other images, and when B is no multiple of `frames`.
        """
        return self.apply_and_tell(images, generator)[0]

    def apply_and_tell(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """What `apply` gives, and (B,) bool on the images' device: which of them have an erased patch.

        With erasing_again: which of them the second erasing has touched.
        """
        check_pixels(images)
        if len(images) % self.frames:
            raise ValueError(f"images: want a multiple of frames = {self.frames}, got {len(images)}")
        clips, (height, width) = len(images) // self.frames, images.shape[2:]

        flipped = uniform(clips, 1, generator)[:, 0] < self.flip
        corners = (uniform(clips, 2, generator) * (2 * self.pad + 1)).long()
        boxes = self._erased_boxes(clips, height, width, self.erasing, generator)
        if self.unchanged:
            still = uniform(clips, 1, generator)[:, 0] < self.unchanged
            flipped, corners[still], boxes[still] = flipped & ~still, self.pad, 0
        turned = self._turns(clips, generator) if self.affine else None
        grey = self._grey_boxes(clips, height, width, generator) if self.grey else None
        jittered = self._jitters(clips, generator) if self.jitter else None
        policies = self._policies(clips, generator) if self.auto else None
        again = self._erased_boxes(clips, height, width, self.erasing_again, generator) if self.erasing_again else None

        if again is not None and self.unchanged:
            again[still] = 0
        draws = Draws(frames=self.frames, flipped=flipped, corners=corners, turns=turned, jitter=jittered, grey=grey,
                      erased=(boxes,) if again is None else (boxes, again))
        if policies is not None:
            images = auto_augment(images, *map(draws.every, policies))
        images = (in_kernels if can_fuse(images) else in_torch)(images, draws, pad=self.pad, scale=self.scale)
        return images, draws.every(draws.erased[-1][:, 2] > 0).to(images.device, non_blocking=True)

    def _erased_boxes(self, clips: int, height: int, width: int, probability: float, generator: Generator) -> Tensor:
        """(clips, 4) boxes, all 0 where nothing is erased."""
        boxes = draw_boxes(clips, height, width, area=self.erasing_area, aspect=self.erasing_aspect,
                           generator=generator)
        boxes[uniform(clips, 1, generator)[:, 0] >= probability] = 0
        return boxes

    def _turns(self, clips: int, generator: Generator) -> Tensor:
        """(clips, 3) degrees, scale and degrees of shear; (0, 1, 0) leaves an image alone."""
        u = uniform(clips, 4, generator)
        low, high = self.affine_scale
        turn, shear = self.affine_degrees * (2 * u[:, 0] - 1), self.affine_shear * (2 * u[:, 2] - 1)
        drawn = torch.stack((turn, low + (high - low) * u[:, 1], shear), dim=1)
        return torch.where(u[:, 3:] < self.affine, drawn, torch.tensor((0.0, 1.0, 0.0), dtype=u.dtype, device=u.device))

    def _grey_boxes(self, clips: int, height: int, width: int, generator: Generator) -> Tensor:
        boxes = draw_boxes(clips, height, width, area=self.grey_area, aspect=self.grey_aspect, generator=generator)
        boxes[uniform(clips, 1, generator)[:, 0] >= self.grey] = 0
        return boxes

    def _jitters(self, clips: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """(clips, 4) factors and (clips, 4) order, as jitter_colours takes them."""
        u = uniform(clips, 9, generator)
        strengths = (self.jitter_brightness, self.jitter_contrast, self.jitter_saturation, self.jitter_hue)
        neutral, strength = (torch.tensor(v, dtype=u.dtype, device=u.device) for v in (NEUTRAL, strengths))
        factors = neutral + strength * (2 * u[:, :4] - 1)
        return torch.where(u[:, 8:] < self.jitter, factors, neutral), u[:, 4:8].argsort(dim=1)

    def _policies(self, clips: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(clips,) sub-policies, (clips, 2) chances and (clips, 2) signs, as auto_augment takes them."""
        u = uniform(clips, 6, generator)
        drawn = torch.where(u[:, 0] < self.auto, (len(SUB_POLICIES) * u[:, 1]).long(), -1)
        return drawn, u[:, 2:4], torch.where(u[:, 4:] < 0.5, -1, 1)
