"""Features against the definition: one image, one scale and one mirror image at a time, resized by PIL."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from reidlib.augment import IMAGENET_MEAN, IMAGENET_STD, normalise
from reidlib.data.sampling import every_clip
from reidlib.features import extract, extract_tracklets


class Model(nn.Module):
    """Features (B, 36) that tell left from right, for images of any size; remembers the shapes it was given."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten())
        self.shapes = []

    def forward(self, images):
        self.shapes.append(tuple(images.shape))
        return self.body(images)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def images() -> torch.Tensor:
    """5 pictures with smooth and with sharp parts, neither side of which is a multiple of 32."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(5, 3, 6, 5, generator=generator)
    smooth = nn.functional.interpolate(coarse, (48, 40), mode="bilinear")
    return (255 * (0.7 * smooth + 0.3 * torch.rand(5, 3, 48, 40, generator=generator))).to(torch.uint8)


def by_loop(model: Model, images: torch.Tensor, *, flip: bool, sizes: list[tuple[int, int] | None]) -> np.ndarray:
    """sizes: (height, width) of each scale, None for the image as it is."""
    rows = []
    for image in images.numpy():
        channels = [(c / 255 - mean) / std for c, mean, std in zip(image, IMAGENET_MEAN, IMAGENET_STD, strict=True)]
        outputs = []
        for size in sizes:
            view = [Image.fromarray(c.astype(np.float32)) for c in channels]
            if size is not None:
                view = [c.resize(size[::-1], Image.Resampling.BILINEAR) for c in view]
            view = np.stack([np.asarray(c) for c in view])
            for seen in [view, view[:, :, ::-1].copy()][: 1 + flip]:
                with torch.no_grad():
                    outputs.append(model.eval()(torch.from_numpy(seen)[None])[0].double().numpy())
        rows.append(np.mean(outputs, axis=0))
    return np.array(rows)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("scales", "sizes"),
    [
        ((1.0,), [None]),
        ((0.4, 1.25), [(32, 32), (64, 48)]),  # 19.2 × 16 is under the least; 60 × 50 to the nearest multiples of 16
        ((0.75, 1.0, 1.4), [(32, 32), None, (64, 64)]),  # 36 × 30 and 67.2 × 56, a tie that goes to the even multiple
    ],
)
def test_mean_over_scales_and_mirror_images(model, images, flip, scales, sizes):
    wanted = by_loop(model, images, flip=flip, sizes=sizes)
    model.shapes.clear()
    found = extract(model, images, batch=2, flip=flip, scales=scales)
    assert found.dtype == torch.float16 and found.shape == (5, 36)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-3, atol=2e-4)
    seen = [(3, *(size or (48, 40))) for size in sizes for _ in range(1 + flip)]
    first, *rest = model.shapes
    assert first == (1, 3, 48, 40), "one image tells how many fit"
    assert rest == [(count, *shape) for count in (2, 2, 1) for shape in seen], "one batch and scale at a time"


def test_defaults_are_one_pass_to_the_last_bit(model, images):
    with torch.no_grad():
        wanted = torch.cat([model.eval()(normalise(images[i : i + 2])) for i in (0, 2, 4)]).half()
    assert torch.equal(extract(model, images, batch=2), wanted)


def test_mirrored_images_have_the_same_features_with_flip_alone(model, images):
    before, after = (extract(model, x, flip=True) for x in (images, images.flip(3)))
    assert torch.equal(before, after)
    before, after = (extract(model, x) for x in (images, images.flip(3)))
    assert (before - after).abs().max() > 0.01


def test_flip_changes_nothing_for_symmetric_images(model, images):
    symmetric = torch.maximum(images, images.flip(3))
    assert torch.equal(extract(model, symmetric, flip=True), extract(model, symmetric))


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (-1.0,), (float("inf"),), (float("nan"),)])
def test_scales_that_are_no_sizes(model, images, scales):
    with pytest.raises(ValueError, match="^scales: wants one or more finite numbers above 0, got "):
        extract(model, images, scales=scales)


def test_a_feature_beyond_float16_is_named(model, images):
    model.body[0].bias.data.fill_(1e6)
    with pytest.raises(ValueError, match="5 of 5 give a feature that is not finite in float16, first b.jpg"):
        extract(model, images, names=["b.jpg", *"cdef"], flip=True, scales=(1.0, 1.25))


class Clips(nn.Module):
    """Tells the order of a clip's frames: their features, weighted by their places."""

    def __init__(self):
        super().__init__()
        self.body, self.most = Model(), 0

    def frames(self, images):
        self.most = max(self.most, len(images))
        return self.body(images)

    def clips(self, frames):
        return (frames * torch.arange(1.0, 1 + frames.shape[1])[:, None]).sum(dim=1)


@pytest.mark.parametrize("batch", [1, 3, 128])
def test_features_of_tracklets_are_the_means_over_their_clips(batch):
    lengths = (5, 1, 12, 4, 2)
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (sum(lengths), 3, 32, 32), generator=generator, dtype=torch.uint8)
    tracklets = torch.tensor([7, 3, 9, 1, 4]).repeat_interleave(torch.tensor(lengths))
    model = Clips().eval()
    found = extract_tracklets(model, images, tracklets, frames=4, batch=batch, scale="unit")
    wanted, start = [], 0
    with torch.no_grad():
        for length in lengths:
            pixels = images[start : start + length].float() / 127.5 - 1
            clips = [model.clips(model.frames(pixels[clip])[None]) for clip in every_clip(length, 4)]
            wanted.append(torch.cat(clips).mean(dim=0))
            start += length
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), torch.stack(wanted), rtol=2e-3, atol=2e-3)


def test_tracklets_in_pieces_are_refused():
    images = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match="tracklets: the frames of one must stand side by side"):
        extract_tracklets(Clips(), images, torch.tensor([0, 1, 0]), frames=2)
    with pytest.raises(ValueError, match="images, tracklets: want"):
        extract_tracklets(Clips(), images, torch.tensor([0, 1]), frames=2)
