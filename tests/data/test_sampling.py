"""The oracle follows an epoch batch by batch and knows the rule only as the docstring states it."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.data.sampling import clip_batches, epoch_batches, every_clip, iterations_per_epoch, pk_batches


@st.composite
def problems(draw):
    persons = draw(st.integers(1, 5))
    images = draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(1, 9), min_size=persons, max_size=12))
    names = draw(st.permutations(range(3, 3 + 7 * len(sizes), 7)))
    labels = draw(st.permutations([name for name, size in zip(names, sizes, strict=True) for _ in range(size)]))
    return torch.tensor(labels), persons, images, draw(st.integers(0, 2**40)), draw(st.integers(0, 500))


def follow(labels, batches, persons, images):
    """Walks through an epoch; fails where a batch breaks the rule."""
    labels = labels.tolist()
    members = {name: {i for i, label in enumerate(labels) if label == name} for name in set(labels)}

    def fresh_pass():
        return {name: set(own) for name, own in members.items()}

    def has_turn(name, unused):
        return len(unused[name]) >= images or (len(members[name]) < images and unused[name] == members[name])

    unused = fresh_pass()
    for batch in batches:
        if sum(has_turn(name, unused) for name in members) < persons:
            unused = fresh_pass()
        groups = batch.reshape(persons, images).tolist()
        names = [labels[group[0]] for group in groups]
        assert len(set(names)) == persons
        for name, group in zip(names, groups, strict=True):
            assert {labels[i] for i in group} == {name}
            assert has_turn(name, unused)
            if len(members[name]) >= images:
                assert len(set(group)) == images
                assert set(group) <= unused[name]
                unused[name] -= set(group)
            else:
                unused[name] = set()


@settings(max_examples=150, deadline=None)
@given(problems())
def test_batches_follow_the_rule(problem):
    labels, persons, images, seed, epoch = problem
    batches = epoch_batches(labels, persons, images, seed=seed, epoch=epoch)
    assert batches.dtype == torch.int64
    assert batches.shape == (iterations_per_epoch(len(labels), persons, images), persons * images)
    follow(labels, batches, persons, images)


@settings(max_examples=50, deadline=None)
@given(problems())
def test_an_epoch_is_a_pure_function_of_seed_and_epoch(problem):
    labels, persons, images, seed, epoch = problem
    torch.manual_seed(0)
    np.random.seed(0)
    one = epoch_batches(labels, persons, images, seed=seed, epoch=epoch)
    epoch_batches(labels, persons, images, seed=seed, epoch=epoch + 1)
    two = epoch_batches(labels.numpy(), persons, images, seed=seed, epoch=epoch)
    assert torch.equal(one, two)


def test_epochs_and_seeds_differ():
    labels = torch.arange(32).repeat_interleave(8)
    drawn = [epoch_batches(labels, 4, 4, seed=seed, epoch=epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_every_person_and_image_is_drawn_about_equally_often():
    labels = torch.arange(20).repeat_interleave(8)
    seen = Counter()
    for epoch in range(50):
        seen.update(epoch_batches(labels, 4, 4, seed=3, epoch=epoch).flatten().tolist())
    assert len(seen) == 160
    assert min(seen.values()) >= 35     # 50 would be one use of each image an epoch
    assert max(seen.values()) <= 60


def test_the_images_of_a_person_are_grouped_anew_in_every_epoch():
    labels = torch.zeros(8, dtype=torch.int64)
    groups = {frozenset(epoch_batches(labels, 1, 4, seed=0, epoch=epoch)[0].tolist()) for epoch in range(20)}
    assert len(groups) > 10


def test_a_person_with_few_images_is_drawn_with_replacement():
    labels = torch.tensor([0, 1, 1, 1, 1])
    batches = epoch_batches(labels, 2, 4, seed=0, epoch=0)
    assert batches.shape == (1, 8)
    assert sorted(batches[0].tolist()) == [0, 0, 0, 0, 1, 2, 3, 4]


def test_the_generator_is_the_only_source_of_chance():
    labels = np.repeat(np.arange(6), 4)
    first = list(pk_batches(labels, 3, 2, np.random.default_rng(5)))
    second = list(pk_batches(labels, 3, 2, np.random.default_rng(5)))
    assert len(first) == 4
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_synergyreid_has_66_iterations_in_batches_of_128():
    assert iterations_per_epoch(8569, 32, 4) == 66
    assert iterations_per_epoch(7, 4, 4) == 1


@pytest.mark.parametrize(
    "labels, persons, images, message",
    [
        (torch.arange(3), 4, 2, "^persons: a batch wants 4 of them, and the labels have 3; lower persons to 3"),
        (torch.arange(3), 0, 2, "^persons: wants 1 or more, got 0"),
        (torch.arange(3), 2, 0, "^images: wants 1 or more, got 0"),
        (torch.zeros(3), 1, 1, "^labels: wants \\(N,\\) integers"),
        (torch.zeros(2, 3, dtype=torch.int64), 1, 1, "^labels: .*shape \\(2, 3\\)"),
        (torch.zeros(0, dtype=torch.int64), 1, 1, "^labels: .*N >= 1"),
    ],
)
def test_what_makes_no_batch_is_refused(labels, persons, images, message):
    with pytest.raises(ValueError, match=message):
        epoch_batches(labels, persons, images, seed=0, epoch=0)


def test_negative_seeds_and_epochs_are_refused():
    with pytest.raises(ValueError, match="^seed: wants 0 or more, got -1"):
        epoch_batches(torch.arange(4), 2, 1, seed=-1, epoch=0)
    with pytest.raises(ValueError, match="^epoch: wants 0 or more, got -2"):
        epoch_batches(torch.arange(4), 2, 1, seed=0, epoch=-2)


@st.composite
def videos(draw):
    """Persons of one to five tracklets of one to nine frames, whose images are not in the order of the persons."""
    persons = draw(st.integers(1, 4))
    sizes = draw(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=persons, max_size=9))
    rows = [(person, tracklet, size) for person, own in enumerate(sizes) for tracklet, size in enumerate(own)]
    rows = draw(st.permutations(rows))
    labels = [person for person, _, size in rows for _ in range(size)]
    tracklets = [number for number, (_, _, size) in enumerate(rows) for _ in range(size)]
    counts = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    spread, seed, epoch = draw(st.booleans()), draw(st.integers(0, 2**40)), draw(st.integers(0, 9))
    return np.array(labels), np.array(tracklets), persons, *counts, spread, seed, epoch


@settings(max_examples=150, deadline=None)
@given(videos())
def test_clips_follow_the_rule(video):
    labels, tracklets, persons, clips, frames, spread, seed, epoch = video
    options = {"spread": spread, "seed": seed, "epoch": epoch}
    batches = clip_batches(labels, tracklets, persons, clips, frames, **options)
    assert batches.shape == (len(set(labels)) // persons, persons * clips, frames)
    assert torch.equal(batches, clip_batches(labels, tracklets, persons, clips, frames, **options))
    drawn = []
    for batch in batches.reshape(-1, clips, frames).tolist():
        (person,) = {labels[i] for clip in batch for i in clip}
        drawn.append(person)
        times = Counter()
        for clip in batch:
            (tracklet,) = {tracklets[i] for i in clip}
            times[tracklet] += 1
            own = np.flatnonzero(tracklets == tracklet).tolist()
            places = [own.index(i) for i in clip]
            if spread:
                assert all(int(t * len(own) / frames) <= p <= (t + 1) * len(own) / frames for t, p in enumerate(places))
            else:
                assert places == [(places[0] + t) % len(own) for t in range(frames)]
                assert len(own) < frames or places[-1] == places[0] + frames - 1, "looped without need"
        of_person = len(set(tracklets[labels == person]))
        assert len(times) == min(clips, of_person) and max(times.values()) == -(-clips // of_person)
    assert len(set(drawn)) == len(drawn), "a person twice in an epoch"


def test_every_place_of_a_clip_is_drawn():
    """The last one too, which Gao and Nevatia's code never draws."""
    labels = tracklets = np.zeros(7, int)
    for spread, wanted in ((False, 5), (True, 2 * 3 * 3)):  # starts 0 to 4; parts of 2.33 frames
        found = {
            tuple(clip)
            for epoch in range(300)
            for clip in clip_batches(labels, tracklets, 1, 1, 3, spread=spread, seed=0, epoch=epoch)[0].tolist()
        }
        assert len(found) >= wanted and {clip[-1] for clip in found} >= {6}


@pytest.mark.parametrize(
    ("length", "clips"),
    [(4, [[0, 1, 2, 3]]), (6, [[0, 1, 2, 3], [4, 5, 4, 5]]), (1, [[0, 0, 0, 0]]), (3, [[0, 1, 2, 0]])],
)
def test_every_clip(length, clips):
    assert every_clip(length, 4).tolist() == clips


def test_bad_clips_are_refused():
    with pytest.raises(ValueError, match="frames: wants 1 or more, got 0"):
        clip_batches(np.zeros(3, int), np.zeros(3, int), 1, 1, 0, spread=False, seed=0, epoch=0)
    with pytest.raises(ValueError, match="tracklets: want one for each of the 3 labels"):
        clip_batches(np.zeros(3, int), np.zeros(2, int), 1, 1, 1, spread=False, seed=0, epoch=0)
    with pytest.raises(ValueError, match="length, frames: want 1 or more"):
        every_clip(0, 4)
