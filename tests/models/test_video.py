"""Clips to features: the aggregations against slow loops, what they cannot see, and the way through `frames`."""

import math

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from reidlib.models import ClipHeads, Heads, Video, build, set_frozen
from reidlib.models.temporal import IntraClipAggregation, TemporalAttention
from reidlib.models.torchvision_backbones import torchvision_backbone

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
KINDS = {
    "tap": {"temporal": "tap"},
    "tap, neck": {"temporal": "tap", "neck": True, "metric_feature": "before"},
    "ica": {"temporal": "ica", "hidden": 128},
    "ica, triplet on Z": {"temporal": "ica", "metric_feature": "before"},
    "ica, per frame": {"temporal": "ica", "per_frame": True},
    "ica, residual": {"temporal": "ica", "residual": True},
    "attention": {"temporal": "attention"},
    "attention, neck": {"temporal": "attention", "neck": True},
    "attention, sigmoid": {"temporal": "attention", "generator": "sigmoid"},
}
ATTENTION = [kind for kind in KINDS if "attention" in kind]
SHIFT = "aggregate.temporal.bias"                            # of all scores alike: a softmax does not see it


def tiny(kind="tap", **options):
    torch.manual_seed(0)
    options = {"num_classes": 5, "backbone": "resnet18", "width": 0.125, "last_stride": 1, "image_size": (48, 32)} \
        | KINDS[kind] | options
    model = build("video", **options)
    if "attention" in kind:
        model.aggregate.temporal.weight.data.abs_()          # not a start at which all scores are 0
    return model


def lively(kind, **options):
    """In eval() mode, every statistic and parameter away from its start, and attention awake."""
    model = tiny(kind, **options).eval()
    for name, x in (*model.named_parameters(), *model.named_buffers()):
        if x.is_floating_point() and x.ndim == 1:
            nn.init.uniform_(x, 0.5, 1.5)
        elif "temporal" in name:
            nn.init.normal_(x, std=0.3)
    return model


def count(module):
    return sum(p.numel() for p in module.parameters())


def total(heads):
    torch.manual_seed(1)
    return sum((x * torch.randn(x.shape)).sum() for x in (*heads.logits, *heads.metric_features))


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_and_embeds(kind, frames):
    model = tiny(kind)
    assert all(m.training for m in model.modules())
    assert not any(m.num_batches_tracked for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    clips = torch.randn(4, frames, 3, 48, 32)
    heads = model(clips)
    assert type(heads) is (ClipHeads if kind in ATTENTION else Heads)
    assert [x.shape for x in heads.logits] == [(4, 5)]
    assert [x.shape for x in heads.metric_features] == [(4, model.feature_dim)] == [(4, 64)]
    total(heads).backward()
    for name, p in model.named_parameters():
        assert (p.grad is None) == name.endswith("neck.bias"), name
        assert p.grad is None or p.grad.isfinite().all(), name
        if name.startswith(("aggregate.spatial", "aggregate.temporal")) and frames == 1:
            assert not p.grad.any(), name                    # the weight of a single frame is 1, whatever its score
        elif name not in (SHIFT, "aggregate.neck.bias"):
            assert p.grad.any(), name
    feature = model.eval()(clips)
    assert feature.shape == (4, 64) and feature.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_training_heads_are_the_kinds_features_and_the_test_feature_is_the_one_that_is_classified(kind):
    model = tiny(kind).train()
    seen = {}
    model.aggregate.register_forward_hook(lambda module, inputs, output: seen.update(clip=output))
    heads, clip = model(torch.randn(4, 2, 3, 48, 32)), seen["clip"]
    wanted = clip.before if KINDS[kind].get("metric_feature") == "before" else clip.after
    assert heads.metric_features[0] is wanted
    torch.testing.assert_close(heads.logits[0], model.classify(clip.after))
    if "neck" in kind:
        wanted = (clip.before - clip.before.mean(0)) / (clip.before.var(0, unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(clip.after, wanted)
    elif "ica" not in kind:
        assert clip.after is clip.before
    assert torch.equal(model.eval()(torch.ones(1, 2, 3, 48, 32)), seen["clip"].after)


RESNET50 = 23_508_032                                        # torchvision's without its classifier


@pytest.mark.parametrize("options, wanted", [
    ({}, RESNET50 + 2049 * 625),
    ({"neck": True}, RESNET50 + 2 * 2048 + 2048 * 625),
    ({"temporal": "ica"}, RESNET50 + 2_102_272 + 2048 * 625),                 # the facts' 2.1M
    ({"temporal": "ica", "hidden": 1024}, RESNET50 + 2 * 2048 * 1024 + 2 * 1024 + 2 * 2048 + 2048 * 625),
    ({"temporal": "attention"}, RESNET50 + 2048 * 256 * 7 * 4 + 256 + 3 * 256 + 1 + 2049 * 625),
    ({"temporal": "attention", "neck": True, "last_stride": 1},
     RESNET50 + 2048 * 256 * 14 * 7 + 256 + 3 * 256 + 1 + 2 * 2048 + 2048 * 625),
    ({"backbone": "alexnet"}, 2_469_696 + 257 * 625),
    ({"backbone": "inception_v3"}, 21_785_568 + 2049 * 625),
])
def test_parameter_count_of_the_reports_networks(options, wanted):
    with torch.device("meta"):
        assert count(Video(num_classes=625, **options)) == wanted


def batch_norm(rows):
    """Of lists of numbers, over the rows, as in training with the starting weights."""
    columns = []
    for column in zip(*rows, strict=True):
        mean = math.fsum(column) / len(column)
        variance = math.fsum((x - mean) ** 2 for x in column) / len(column)
        columns.append([(x - mean) / math.sqrt(variance + 1e-5) for x in column])
    return list(zip(*columns, strict=True))


def linear(rows, weight):
    return [[math.fsum(w * x for w, x in zip(ws, row, strict=True)) for ws in weight.tolist()] for row in rows]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("per_frame", [False, True])
def test_ica_is_its_definition_in_training(per_frame, residual):
    torch.manual_seed(0)
    module = IntraClipAggregation(5, hidden=4, per_frame=per_frame, residual=residual).double()
    maps = torch.randn(3, 2, 5, 3, 2, dtype=torch.float64)                    # B=3, T=2, C=5, 3×2
    clip = module(module.frames(maps.flatten(0, 1)).unflatten(0, (3, 2)))

    frames = [[[math.fsum(channel.flatten().tolist()) / 6 for channel in frame] for frame in tracklet]
              for tracklet in maps]
    mean = [[(a + b) / 2 for a, b in zip(*tracklet, strict=True)] for tracklet in frames]
    rows = [frame for tracklet in frames for frame in tracklet] if per_frame else mean
    hidden = [[max(0.0, x) for x in row] for row in batch_norm(linear(rows, module.squeeze[0].weight))]
    after = batch_norm(linear(hidden, module.expand.weight))
    if per_frame:
        after = [[(a + b) / 2 for a, b in zip(*after[2 * i : 2 * i + 2], strict=True)] for i in range(3)]
    if residual:
        after = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(after, mean, strict=True)]
    torch.testing.assert_close(clip.before, torch.tensor(mean, dtype=torch.float64))
    torch.testing.assert_close(clip.after, torch.tensor(after, dtype=torch.float64))


def attention_by_loops(module, maps, generator):
    """Scores, weights and weighted means of maps (B, T, C, h, w), one number at a time."""
    tracklets, times, channels, height, width = maps.shape
    spatial, temporal = module.spatial, module.temporal
    places = [(y, x) for y in range(height) for x in range(width)]
    all_scores, all_weights, features = [], [], []
    for b in range(tracklets):
        hidden = [[max(0.0, spatial.bias[k].item() + math.fsum(
            (spatial.weight[k, c, y, x] * maps[b, t, c, y, x]).item() for c in range(channels) for y, x in places))
            for k in range(len(spatial.weight))] for t in range(times)]
        scores = [max(0.0, temporal.bias.item() + math.fsum(
            temporal.weight[0, k, t - s + 1].item() * hidden[t][k]
            for t in range(max(0, s - 1), min(times, s + 2)) for k in range(len(hidden[t])))) for s in range(times)]
        raw = [math.exp(x) if generator == "softmax" else 1 / (1 + math.exp(-x)) for x in scores]
        weights = [x / math.fsum(raw) for x in raw]
        features.append([math.fsum(
            weights[t] * math.fsum(maps[b, t, c, y, x].item() for y, x in places) / len(places) for t in range(times))
            for c in range(channels)])
        all_scores.append(scores)
        all_weights.append(weights)
    return tuple(torch.tensor(x, dtype=maps.dtype) for x in (all_scores, all_weights, features))


@pytest.mark.parametrize("generator", ["softmax", "sigmoid"])
def test_attention_is_its_definition(generator):
    torch.manual_seed(0)
    module = TemporalAttention(3, map_size=(3, 2), hidden=4, generator=generator, neck=False).double()
    for layer in (module.spatial, module.temporal):
        nn.init.normal_(layer.bias)
    maps = torch.randn(4, 5, 3, 3, 2, dtype=torch.float64)
    clip = module(module.frames(maps.flatten(0, 1)).unflatten(0, (4, 5)))
    scores, weights, features = attention_by_loops(module, maps, generator)
    assert (scores > 0).any(1).all() and (scores == 0).any()
    torch.testing.assert_close(clip.scores, scores)
    torch.testing.assert_close(clip.weights, weights)
    torch.testing.assert_close(clip.after, features)


@pytest.mark.parametrize("kind", ATTENTION)
@given(frames=st.integers(1, 7), scale=st.floats(0, 1e3), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_attention_weights_sum_to_1(kind, frames, scale, seed):
    module = tiny(kind).aggregate
    generator = torch.Generator().manual_seed(seed)
    clip = module(scale * torch.randn(3, frames, module.frame_dim, generator=generator))
    assert clip.scores.shape == clip.weights.shape == (3, frames)
    assert (clip.weights >= 0).all() and (clip.scores >= 0).all()
    torch.testing.assert_close(clip.weights.sum(dim=1), torch.ones(3))


@pytest.mark.parametrize("kind", ATTENTION)
def test_dead_scores_are_average_pooling_without_a_gradient_for_attention(kind):
    model = tiny(kind).train()
    nn.init.constant_(model.aggregate.temporal.bias, -1e4)
    clips = torch.randn(4, 3, 3, 48, 32)
    heads = model(clips)
    assert not heads.scores.any() and torch.equal(heads.weights, torch.full((4, 3), 1 / 3))
    (total(heads) + heads.scores.sum()).backward()
    for name, p in model.aggregate.named_parameters():
        assert name.startswith("neck") or not p.grad.any(), name
    assert all(p.grad.any() for p in model.backbone.parameters())
    pooling = tiny("tap", neck="neck" in kind).train()
    pooling.load_state_dict(tiny(kind).state_dict(), strict=False)
    torch.testing.assert_close(heads.metric_features, pooling(clips).metric_features)


@pytest.mark.parametrize("kind, order, spread", [
    ("tap", False, False), ("ica", False, False), ("ica, residual", False, False),
    ("ica, per frame", False, True),                         # a bottleneck a frame sees how frames differ
    ("attention", True, True),
])
def test_what_a_clip_feature_depends_on(kind, order, spread):
    """ICA on a clip's mean is invariant to the order of its frames and to any change that keeps the mean."""
    model = lively(kind).double()
    frames = torch.rand(3, 6, model.frame_dim, dtype=torch.float64)
    change = torch.randn_like(frames)
    feature = model.clips(frames)
    shuffled, spread_out = model.clips(frames[:, [3, 0, 5, 1, 4, 2]]), model.clips(
        frames + change - change.mean(dim=1, keepdim=True))
    assert torch.allclose(shuffled, feature, rtol=1e-9) != order
    assert torch.allclose(spread_out, feature, rtol=1e-9) != spread
    assert not torch.allclose(model.clips(frames + 0.1 * change), feature, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_two_steps_give_the_features_of_one_and_clips_do_not_see_each_other(kind):
    model = lively(kind)
    clips = torch.randn(3, 5, 3, 48, 32)
    with torch.no_grad():
        feature = model(clips)
        pieces = [model.frames(piece) for piece in clips.flatten(0, 1).split(4)]       # pieces end inside clips
        assert pieces[0].shape == (4, model.frame_dim)
        torch.testing.assert_close(model.clips(torch.cat(pieces).unflatten(0, (3, 5))), feature)
        torch.testing.assert_close(model(clips[[2, 0, 1]]), feature[[2, 0, 1]])
        torch.testing.assert_close(model(clips[1:2]), feature[1:2])
    assert (feature[0] - feature[1]).abs().max() > 1e-4


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_float32_under_bfloat16_autocast(kind, device):
    model = tiny(kind).to(device)
    clips = torch.randn(4, 3, 3, 48, 32, device=device)
    with torch.autocast(device, torch.bfloat16):
        heads = model(clips)
        assert heads.logits[0].dtype == torch.bfloat16 and heads.metric_features[0].dtype == torch.float32
        assert kind not in ATTENTION or heads.scores.dtype == heads.weights.dtype == torch.float32
        assert model.eval()(clips).dtype == torch.float32
    sum(x.square().sum() for x in (*heads.logits, *heads.metric_features)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_the_backbone_can_be_frozen():
    model = tiny("attention, neck")
    set_frozen(model, True)
    total(model.train()(torch.randn(4, 2, 3, 48, 32))).backward()
    assert not model.backbone.training and model.aggregate.training
    assert {n for n, p in model.named_parameters() if p.grad is not None} == {
        "aggregate.spatial.weight", "aggregate.spatial.bias", "aggregate.temporal.weight", "aggregate.temporal.bias",
        "aggregate.neck.weight", "classify.weight"}


def published(name):
    """torchvision's network up to the map, with weights to tell its layers apart."""
    torch.manual_seed(0)
    if name == "alexnet":
        return torchvision.models.alexnet().features.eval()
    network = torchvision.models.inception_v3(aux_logits=False, init_weights=True).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, std=0.1)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return nn.Sequential(*list(network.children())[:-3])     # without pooling, dropout and classifier


@pytest.mark.parametrize("name, smallest", [("alexnet", 63), ("inception_v3", 75)])
@torch.no_grad()
def test_with_torchvisions_weights_a_backbone_gives_torchvisions_map(name, smallest):
    theirs, ours = published(name), torchvision_backbone(name).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    for size in ((smallest, smallest), (128, 80)):
        images = torch.randn(1, 3, *size)
        torch.testing.assert_close(ours(images), theirs(images))
    with pytest.raises(ValueError, match=f"images: this backbone wants H >= {smallest} and W >= {smallest}"):
        ours(torch.randn(1, 3, 128, smallest - 1))
    with pytest.raises(RuntimeError):                        # and not one pixel less would do
        theirs(torch.randn(1, 3, 128, smallest - 1))


@pytest.mark.parametrize("kind", ["ica", "attention, neck"])
@pytest.mark.parametrize("name, width, channels", [
    ("alexnet", 0.125, 32), ("alexnet", 0.3, 80), ("inception_v3", 0.0625, 128), ("inception_v3", 0.1875, 384),
])
def test_torchvision_backbones_scale_and_train(name, width, channels, kind):
    model = tiny(kind, backbone=name, width=width, last_stride=2, image_size=(96, 80))
    assert model.feature_dim == model.backbone.channels == channels
    total(model(torch.randn(4, 2, 3, 96, 80))).backward()
    for parameter_name, p in model.named_parameters():
        assert not p.requires_grad or p.grad.isfinite().all(), parameter_name
        assert not p.requires_grad or p.grad.any() or parameter_name == SHIFT, parameter_name
    with torch.device("meta"):                               # weights go with the square of the width
        convolutions = [
            sum(m.weight.numel() for m in torchvision_backbone(name, width=w).modules() if isinstance(m, nn.Conv2d))
            for w in (0.25, 1.0)]
    assert convolutions[1] / convolutions[0] == pytest.approx(16, rel=0.05)


@pytest.mark.parametrize("options, message", [
    ({"temporal": "mean"}, "temporal: want one of tap, ica, attention, got 'mean'"),
    ({"metric_feature": "both"}, "metric_feature: want 'after' or 'before', got 'both'"),
    ({"temporal": "ica", "neck": True}, "neck: temporal 'ica' has its own"),
    ({"temporal": "ica", "hidden": 0}, "hidden: want an int >= 1, got 0"),
    ({"residual": True}, "hidden, per_frame, residual: temporal 'ica' alone"),
    ({"temporal": "attention", "hidden": 256}, "hidden, per_frame, residual: temporal 'ica' alone"),
    ({"generator": "sigmoid"}, "generator: temporal 'attention' alone"),
    ({"temporal": "attention", "generator": "relu"}, "generator: want one of softmax, sigmoid, got 'relu'"),
    ({"temporal": "attention", "image_size": (16, 16)}, "images: want"),
    ({"num_classes": 0}, "num_classes: "),
    ({"backbone": "vgg"}, "backbone: 'vgg'"),
    ({"backbone": "alexnet", "last_stride": 1}, "last_stride: alexnet has none to choose, want 2, got 1"),
    ({"backbone": "inception_v3", "width": 0.3}, "width: inception_v3 wants a multiple of 1/16, got 0.3"),
    ({"backbone": "inception_v3", "width": 0.0}, "width: want a factor > 0"),
])
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        Video(**options)


@pytest.mark.parametrize("clips, message", [
    (torch.zeros(2, 3, 48, 32), r"clips: want \(B, T, 3, H, W\) with T >= 1, .* got \(2, 3, 48, 32\)"),
    (torch.zeros(2, 0, 3, 48, 32), "clips: want .* with T >= 1"),
    (torch.zeros(2, 4, 1, 48, 32), "clips: want"),
    (torch.zeros(2, 4, 3, 31, 32), "clips: want .* H >= 32"),
    (torch.zeros(1, 4, 3, 48, 32), "clips: want at least 2 in a batch to train"),
    (torch.zeros(2, 4, 3, 48, 32, dtype=torch.uint8), "images: want normalised floating point"),
    (torch.zeros(2, 4, 3, 64, 32), r"images: temporal attention wants .* map is \(3, 2\), got a map of \(4, 2\)"),
])
def test_wrong_clips_are_refused(clips, message):
    with pytest.raises(ValueError, match=message):
        tiny("attention")(clips)


@pytest.mark.parametrize("shape", [(2, 64), (2, 0, 64), (2, 3, 65)])
def test_wrong_frames_are_refused(shape):
    with pytest.raises(ValueError, match=r"frames: want \(B, T, 64\)"):
        tiny("tap").eval().clips(torch.zeros(shape))
