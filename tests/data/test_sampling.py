"""The oracle follows an epoch batch by batch and knows the rule only as the docstring states it."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.data.sampling import epoch_batches, iterations_per_epoch, pk_batches


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
