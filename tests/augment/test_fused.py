"""The kernels of the CPU against torch's own operations: the same bits, whatever is drawn, and however many threads."""

from __future__ import annotations

import multiprocessing
import os
import platform
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import pixels, seeded

import reidlib.augment
from reidlib.augment import Augmentation, fused, toning

KNOWN = platform.machine() == "x86_64" and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
known = pytest.mark.skipif(not KNOWN, reason="torch rounds otherwise on this processor, and does the steps itself")
PROBABILITIES = st.sampled_from((0.0, 0.5, 1.0))
EVERYTHING = {"affine": 0.5, "grey": 0.5, "jitter": 0.8, "auto": 0.3, "erasing_again": 0.5}


def both(options: Augmentation, images, seed=0):
    """What the kernels give, and what torch gives, with the same draws."""
    found = []
    for forced in (fused.can_fuse, lambda images: False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reidlib.augment, "can_fuse", forced)
            found.append(options.apply_and_tell(images, seeded(seed)))
    return found


def assert_same(options: Augmentation, images, seed=0):
    (ours, told), (theirs, told_too) = both(options, images, seed)
    assert torch.equal(ours, theirs) and torch.equal(told, told_too)
    assert ours.dtype == torch.float32 and ours.is_contiguous() and theirs.is_contiguous()


@known
def test_here_the_kernels_do_the_work(monkeypatch):
    assert fused.way_of_products() in (0, 1, 2)
    for dtype in (torch.uint8, torch.float32):
        assert fused.can_fuse(pixels().to(dtype))
    monkeypatch.setattr(reidlib.augment, "in_torch", None)
    Augmentation(**EVERYTHING).apply(pixels(), seeded())


def test_other_images_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(reidlib.augment, "in_kernels", None)
    images = pixels(4)
    for others in (images.double(), images.half(), images.expand(4, -1, -1, -1).flip(0).permute(0, 1, 3, 2),
                   images.float().requires_grad_(), images.contiguous(memory_format=torch.channels_last)):
        assert not fused.can_fuse(others)
        assert Augmentation(pad=2, grey=0.5).apply(others, seeded()).dtype == torch.float32
    assert Augmentation(pad=2).apply(pixels(1).float().requires_grad_(), seeded()).requires_grad


def test_torch_does_the_steps_where_it_rounds_otherwise(monkeypatch):
    monkeypatch.setattr(fused, "way_of_products", lambda: None)
    monkeypatch.setattr(reidlib.augment, "in_kernels", None)
    assert Augmentation(**EVERYTHING).apply(pixels(), seeded()).shape == (8, 3, 24, 16)


@known
@settings(deadline=None, max_examples=150)
@given(
    options=st.fixed_dictionaries({
        "frames": st.sampled_from((1, 1, 3)), "pad": st.sampled_from((0, 1, 3, 10)), "flip": PROBABILITIES,
        "erasing": PROBABILITIES, "erasing_again": PROBABILITIES, "affine": PROBABILITIES, "grey": PROBABILITIES,
        "jitter": PROBABILITIES, "auto": PROBABILITIES, "scale": st.sampled_from(("imagenet", "unit")),
        "affine_degrees": st.sampled_from((10.0, 180.0)), "affine_shear": st.sampled_from((0.1, 60.0)),
        "affine_scale": st.sampled_from(((0.9, 1.1), (0.1, 4.0))),
        "jitter_brightness": st.sampled_from((0.15, 1.0)), "jitter_contrast": st.sampled_from((0.15, 1.0)),
        "jitter_saturation": st.sampled_from((0.1, 1.0)), "jitter_hue": st.sampled_from((0.1, 0.5)),
    }),
    clips=st.integers(1, 6), height=st.integers(1, 70), width=st.integers(1, 50),
    dtype=st.sampled_from((torch.uint8, torch.float32)), kind=st.sampled_from(("noise", "few values", "grey", "white")),
    seed=st.integers(0, 2**31),
)  # fmt: skip
def test_the_bits_are_torchs(options, clips, height, width, dtype, kind, seed):
    images = pixels(clips * options["frames"], height, width, seed % 1000).to(dtype)
    if dtype == torch.float32:
        images = (images + torch.rand(images.shape, generator=seeded(seed))).clamp(0, 255)
    match kind:
        case "few values":
            images = images // 64 * 85
        case "grey":
            images = images[:, :1].repeat(1, 3, 1, 1)
        case "white":
            images = torch.full_like(images, 255)
    assert_same(Augmentation(**options), images, seed)


@known
@pytest.mark.parametrize("pad", [0, 4])
@pytest.mark.parametrize("height, width", [(256, 128), (384, 128), (96, 32), (33, 257)])
def test_the_bits_are_torchs_at_the_reports_sizes(height, width, pad):
    assert_same(Augmentation(pad=pad, **EVERYTHING), pixels(12, height, width))
    assert_same(Augmentation(pad=pad, **EVERYTHING), pixels(12, height, width).float())


@known
def test_clips_that_stay_as_they_are():
    assert_same(Augmentation(pad=3, unchanged=0.5, frames=2, erasing_again=0.5), pixels(24))


@known
def test_a_picture_may_be_smaller_than_its_border():
    assert_same(Augmentation(pad=10, affine=0.5), pixels(32, 4, 3))
    assert_same(Augmentation(pad=10), pixels(32, 4, 3))


@known
@pytest.mark.parametrize("lanes", [1, toning.LANES])
def test_sums_are_torchs(lanes):
    """Of values that lie side by side, and of those of one channel among three. The longest fill a level with 32."""
    for count in (*range(1, 200), 1000, 4095, 4096, 4097, 32768, 98304, 100_003, 2**21 * lanes + 40):
        values = torch.rand(1, 3, count, generator=seeded(count)) * 255
        stored = values.transpose(1, 2).contiguous().transpose(1, 2) if lanes == 1 else values
        found = [toning._sum(row.numpy(), lanes) for row in values[0]]
        assert np.array_equal(stored.sum(dim=2)[0].numpy(), found), count


@known
def test_threads_change_nothing(monkeypatch):
    """Neither how many there are nor how the pictures are shared among them; and torch keeps its own number."""
    images, options = pixels(12), Augmentation(pad=2, frames=2, **EVERYTHING)
    alone = options.apply(images, seeded())
    shared_out(monkeypatch)
    used = []

    def counted(count):
        used.append(count)
        return helpers(count)

    helpers = fused._helpers
    monkeypatch.setattr(fused, "_helpers", counted)
    torch.set_num_threads(1)
    assert torch.equal(options.apply(images, seeded()), alone) and not used
    torch.set_num_threads(3)
    assert torch.equal(options.apply(images, seeded()), alone) and set(used) == {2}
    assert torch.get_num_threads() == 3


def shared_out(monkeypatch):
    """Few pictures are few parts otherwise, and one thread does them."""
    monkeypatch.setattr(fused, "CACHED", 1)
    monkeypatch.setattr(fused, "WORTH_A_THREAD", 1)


@known
def test_several_callers_at_once_share_the_threads(monkeypatch):
    """As a data loader's thread does beside an evaluation; each gets its own pictures, done."""
    images, options = pixels(12), Augmentation(pad=2, **EVERYTHING)
    alone = [options.apply(images, seeded(seed)) for seed in range(8)]
    shared_out(monkeypatch)
    torch.set_num_threads(2)
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda seed: options.apply(images, seeded(seed)), range(8)))
    assert all(map(torch.equal, found, alone))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_waits_for_no_thread(monkeypatch):
    """Those of the parent stay behind, and never answer; the child is given half a minute.

    Without torch, whose own threads do not survive a fork.
    """
    shared_out(monkeypatch)
    torch.set_num_threads(2)

    def done() -> list[tuple[int, int]]:
        parts = []
        fused._share(lambda *part: parts.append(part), 12, 1)
        return sorted(parts)

    want = [(i, i + 1) for i in range(12)]
    assert done() == want
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(done() != want), daemon=True)
    child.start()
    child.join(30)
    code = child.exitcode
    child.kill()
    assert code == 0


@known
def test_it_works_in_inference_mode():
    with torch.inference_mode():
        images = pixels(6)
        found = Augmentation(pad=2, **EVERYTHING).apply(images, seeded())
    assert torch.equal(found, Augmentation(pad=2, **EVERYTHING).apply(images, seeded()))
