"""MGN: its sizes by hand arithmetic, the order of its heads, and what each head sees."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from reidlib.models import MGN, build
from reidlib.objective import batch_loss
from reidlib.optimisation import make_optimizer
from reidlib.study.profile import load_profile
from reidlib.study.recipes import vtrm

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def tiny(parts=(1, 2, 3), **options):
    torch.manual_seed(0)
    options = {"num_classes": 5, "backbone": "resnet18_ibn", "width": 0.125, "part_dim": 4} | options
    return MGN(parts, **options)


def total(heads):
    return sum(x.square().sum() for x in (*heads.logits, *heads.metric_features))


class Given(nn.Module):
    """Stands in for a body: whatever comes in, this goes out."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, _):
        return self.output


@pytest.mark.parametrize("parts, backbone, counted", [
    ((1, 2, 3), "resnet50", 69_700_680),                                # the facts' 69.7M
    ((1, 2, 3), "resnet50_ibn", 69_700_680),
    ((1, 2, 3, 4), "resnet50_ibn", 93_433_421),                         # the facts' 93.4M
    ((1, 2, 3, 4), "se_resnet50_ibn", 102_633_037),                     # and Table 3's others
    ((1, 2, 3, 4), "resnet101_ibn", 169_401_933),
    ((1, 2, 3, 4), "se_resnet101_ibn", 187_514_445),
])
def test_parameter_count_of_the_reports_networks(parts, backbone, counted):
    with torch.device("meta"):
        model = MGN(parts, num_classes=436, backbone=backbone)
    heads, blocks = {3: 8, 4: 13}[len(parts)], 23 if "101" in backbone else 6    # of layer3
    # A bottleneck is 1×1 + 3×3 + 1×1 weights, and two numbers per channel for each of the normalisations.
    stem = 3 * 64 * 49 + 2 * 64
    layer1 = (64 * 64 + 9 * 64 * 64 + 64 * 256 + 2 * (64 + 64 + 256)) + (64 * 256 + 2 * 256) \
        + 2 * (256 * 64 + 9 * 64 * 64 + 64 * 256 + 2 * (64 + 64 + 256))
    layer2 = (256 * 128 + 9 * 128 * 128 + 128 * 512 + 2 * (128 + 128 + 512)) + (256 * 512 + 2 * 512) \
        + 3 * (512 * 128 + 9 * 128 * 128 + 128 * 512 + 2 * (128 + 128 + 512))
    layer3_first = (512 * 256 + 9 * 256 * 256 + 256 * 1024 + 2 * (256 + 256 + 1024)) + (512 * 1024 + 2 * 1024)
    layer3_rest = (blocks - 1) * (1024 * 256 + 9 * 256 * 256 + 256 * 1024 + 2 * (256 + 256 + 1024))
    layer4 = (1024 * 512 + 9 * 512 * 512 + 512 * 2048 + 2 * (512 + 512 + 2048)) + (1024 * 2048 + 2 * 2048) \
        + 2 * (2048 * 512 + 9 * 512 * 512 + 512 * 2048 + 2 * (512 + 512 + 2048))
    if backbone.startswith("se_"):                                      # two matrices of C × C/16 a block
        layer1, layer2 = layer1 + 3 * 2 * 256 * 16, layer2 + 4 * 2 * 512 * 32
        layer3_first, layer3_rest = layer3_first + 2 * 1024 * 64, layer3_rest + (blocks - 1) * 2 * 1024 * 64
        layer4 += 3 * 2 * 2048 * 128
    head = 1 + 2048 * 256 + 2 * 256 + 256 * 436                      # GeM's p, reduction, BNNeck, classifier
    wanted = stem + layer1 + layer2 + layer3_first + len(parts) * (layer3_rest + layer4) + heads * head
    assert sum(p.numel() for p in model.parameters()) == wanted == counted
    assert model.feature_dim == 256 * heads                          # 2048 and 3328


def test_the_defaults_make_the_contracts_network():
    with torch.device("meta"):
        assert MGN().feature_dim == MGN(parts=(1, 2, 3)).feature_dim == 2048
        assert MGN(parts=(1, 2, 3, 4)).feature_dim == 3328


@pytest.mark.parametrize("backbone", ["resnet18", "resnet18_ibn", "resnet50", "resnet50_ibn"])
@pytest.mark.parametrize("parts, logits, wholes, stripes", [
    ((1,), 1, 1, []), ((2,), 3, 1, [2]), ((1, 2, 3), 8, 3, [2, 3]), ((1, 2, 3, 4), 13, 4, [2, 3, 4]),
])
def test_outputs_in_training_and_evaluation(parts, logits, wholes, stripes, backbone):
    model = tiny(parts, backbone=backbone)
    images = torch.randn(3, 3, 64, 32)
    heads = model.train()(images)
    assert [x.shape for x in heads.logits] == [(3, 5)] * logits
    assert [x.shape for x in heads.metric_features] == [(3, 4)] * wholes + [(3, 4 * k) for k in stripes]
    total(heads).backward()
    for name, p in model.named_parameters():
        assert (p.grad is None) == name.endswith("neck.bias"), name
        assert p.grad is None or p.grad.isfinite().all(), name
    feature = model.eval()(images)
    assert feature.shape == (3, model.feature_dim) == (3, 4 * logits)
    assert feature.isfinite().all()


SIX_TIMES = {row: recipe for row, recipe in vtrm.table3().items() if "6x" in row}


@pytest.mark.parametrize("row", list(SIX_TIMES))
def test_table_3_at_full_width_takes_a_training_step(row):
    """The report's networks, losses and optimiser, but for images of half its 384 × 128 each way (a quarter of the
    time), a batch of 2 × 2 that is one shard, and float32, as few processors have bfloat16."""
    torch.manual_seed(0)
    recipe = SIX_TIMES[row].scaled(load_profile("paper"))
    options = replace(recipe.training, persons=2, images=2, triplet_shard=4, precision="fp32")
    model = build(recipe.model, num_classes=436, **recipe.model_options).train()
    images = torch.randn(4, 3, recipe.height // 2, recipe.width // 2)
    optimizer = make_optimizer(model, options)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = torch.stack(batch_loss(model, images, torch.tensor([7, 7, 435, 435]), options)[:2])
    losses.sum().backward()
    optimizer.step()
    assert losses.isfinite().all()
    for name, p in model.named_parameters():
        assert p.isfinite().all() and torch.equal(p, before[name]) == name.endswith("neck.bias"), name
    assert model.eval()(images[:1]).shape == (1, model.feature_dim) == (1, 3328)


@pytest.mark.parametrize("height, width", [(32, 16), (33, 17), (48, 16), (100, 40), (64, 128)])
def test_any_image_of_at_least_32_by_16_pixels(height, width):
    model = tiny((1, 2, 3, 4))
    images = torch.randn(2, 3, height, width)
    assert total(model.train()(images)).isfinite()
    assert model.eval()(images).shape == (2, model.feature_dim)


def test_branches_start_from_the_same_weights_and_share_none():
    model = tiny()
    first, *others = (list(branch.state_dict().values()) for branch in model.branches)
    for other in others:
        assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in zip(first, other, strict=True))
    strides = [[m.stride for m in branch.modules() if isinstance(m, nn.Conv2d)] for branch in model.branches]
    assert strides[0] == strides[1] == strides[2] and set(strides[0]) == {(1, 1)}
    weights = [head.reduce.weight for head in (*model.global_heads, *model.stripe_heads[1], *model.stripe_heads[2])]
    assert len({w.flatten()[0].item() for w in weights}) == 8


def test_test_feature_has_the_global_features_first_then_the_stripes():
    model = tiny((1, 2, 3, 4)).eval()
    b1, b2, b3, b4 = model.global_heads
    none, (b21, b22), (b31, b32, b33), (b41, b42, b43, b44) = model.stripe_heads
    assert len(none) == 0
    order = (b1, b2, b3, b4, b21, b22, b31, b32, b33, b41, b42, b43, b44)
    with torch.no_grad():
        for i, head in enumerate(order):
            head.neck.weight.zero_()
            head.neck.bias.fill_(i)
    wanted = torch.arange(13.0).repeat_interleave(4).expand(2, -1)
    assert torch.equal(model(torch.randn(2, 3, 64, 32)), wanted)
    # Training has the same order, and joins the stripes of a branch: constant features show which is which.
    heads = model.train()(torch.randn(2, 3, 64, 32))
    assert [x[0].unique().tolist() for x in heads.metric_features] == [
        [0], [1], [2], [3], [4, 5], [6, 7, 8], [9, 10, 11, 12]]
    for i, (head, logits) in enumerate(zip(order, heads.logits, strict=True)):
        torch.testing.assert_close(logits[0], i * head.classify.weight.sum(dim=1))


@pytest.mark.parametrize("metric_feature", ["before", "after"])
def test_each_head_sees_its_own_stripe(metric_feature):
    torch.manual_seed(0)
    model = tiny(pooling="average", metric_feature=metric_feature)
    shared = torch.randn(6, 64, 7, 2)                          # 7 rows divide by neither 2 nor 3
    model.shared = Given(shared)
    model.branches = nn.ModuleList(nn.Identity() for _ in model.parts)
    heads = model(torch.randn(6, 3, 112, 32))
    rows = {"b1": (0, 7), "b2": (0, 7), "b3": (0, 7), "b2x": [(0, 4), (3, 7)], "b3x": [(0, 3), (2, 5), (4, 7)]}

    def feature(head, start, end):
        before = shared[:, :, start:end].mean(dim=(2, 3)) @ head.reduce.weight.T
        return before if metric_feature == "before" else nn.functional.batch_norm(before, None, None, training=True)

    wanted = [feature(head, *rows[f"b{i + 1}"]) for i, head in enumerate(model.global_heads)] + [
        torch.cat([feature(head, *r) for head, r in zip(model.stripe_heads[i], rows[f"b{i + 1}x"], strict=True)], dim=1)
        for i in (1, 2)
    ]
    for ours, oracle in zip(heads.metric_features, wanted, strict=True):
        torch.testing.assert_close(ours, oracle)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("pooling", ["gem", "average"])
def test_bfloat16_autocast_and_channels_last_train(pooling, device):
    model = tiny(pooling=pooling).to(device)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):   # else CUDA's convolutions round to 10 bits
        plain = model(images := torch.randn(4, 3, 64, 32, device=device))
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
        for ours, wanted in zip(model(images).metric_features, plain.metric_features, strict=True):
            torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=1e-3)

    with torch.autocast(device, torch.bfloat16):
        heads = model(images)
    assert all(x.dtype == torch.float32 for x in heads.metric_features)
    assert all(x.dtype == torch.bfloat16 for x in heads.logits)    # the body did run in half precision
    total(heads).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    with torch.autocast(device, torch.bfloat16), torch.no_grad():
        assert model.eval()(images).dtype == torch.float32


def test_cosine_and_dropout_reach_every_head():
    """Logits are cosines whatever the features' length, and dropout leaves the metric features whole."""
    images = torch.rand(4, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    plain, whole, thinned = (tiny(cosine=cosine, dropout=dropout)
                             for cosine, dropout in ((False, 0.0), (True, 0.0), (True, 0.9)))
    with torch.no_grad():
        for model in (whole, thinned):
            for head in [*model.global_heads, *(head for heads in model.stripe_heads for head in heads)]:
                head.classify.weight.mul_(50)                            # a cosine does not see it
    for heads in (whole(images), thinned(images)):
        assert len(heads.logits) == 8 and all(x.abs().max() <= 1 + 1e-6 for x in heads.logits)
    assert any(x.abs().max() > 1e-6 for x in thinned(images).logits)
    for ours, other, base in zip(whole(images).metric_features, thinned(images).metric_features,
                                 plain(images).metric_features, strict=True):
        torch.testing.assert_close(ours, other)
        torch.testing.assert_close(ours, base)
    assert any(not torch.allclose(a, b) for a, b in zip(whole(images).logits, thinned(images).logits, strict=True))


@pytest.mark.parametrize("options, message", [
    ({"parts": ()}, "parts: "),
    ({"parts": (1, 0)}, "parts: "),
    ({"parts": 3}, "parts: "),
    ({"parts": (1, 2.0)}, "parts: "),
    ({"part_dim": 0}, "part_dim: "),
    ({"num_classes": 0}, "num_classes: "),
    ({"pooling": "max"}, "pooling: "),
    ({"backbone": "vgg"}, "backbone: "),
])
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        MGN(**options)


@pytest.mark.parametrize("shape, message", [
    ((2, 3, 31, 32), r"images: want \(B, 3, H, W\) with H >= 32"),
    ((2, 1, 64, 32), "images: want"),
    ((3, 64, 32), "images: want"),
    ((1, 3, 64, 32), "images: want at least 2"),
])
def test_wrong_images_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        tiny()(torch.randn(shape))


def test_uint8_images_and_empty_batches_are_refused():
    with pytest.raises(ValueError, match="images: want normalised floating point"):
        tiny()(torch.zeros(2, 3, 64, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match="images: want at least 1"):
        tiny().eval()(torch.zeros(0, 3, 64, 32))
