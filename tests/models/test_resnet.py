"""Backbones against torchvision's and timm's, IBN and SE against their definitions, and one test over all of them."""

import math

import pytest
import timm
import torch
import torchvision
from torch import nn

from reidlib.models import Baseline
from reidlib.models.resnet import (
    BACKBONES,
    IBN,
    BasicBlock,
    Bottleneck,
    SqueezeExcitation,
    conv,
    resnet,
    scaled_channels,
)

NAMES = [prefix + name + suffix for name in BACKBONES for prefix in ("", "se_") for suffix in ("", "_ibn")]


def count(module):
    return sum(p.numel() for p in module.parameters())


def published(name):
    """torchvision's network, or timm's of the one depth that torchvision lacks, with weights to tell blocks apart."""
    if name == "resnet200":
        return timm.create_model(name, pretrained=False, zero_init_last=False)
    return getattr(torchvision.models, name)()


@pytest.mark.parametrize("pooling", ["gem", "average"])
@pytest.mark.parametrize("name", NAMES)
def test_every_backbone_trains_and_embeds(name, pooling):
    torch.manual_seed(0)
    model = Baseline(num_classes=5, backbone=name, width=0.125, pooling=pooling)
    images = torch.randn(4, 3, 64, 32)
    assert model.backbone(images).shape == (4, model.feature_dim, 4, 2)    # stride 16

    heads = model.train()(images)
    assert [x.shape for x in heads.logits] == [(4, 5)]
    assert [x.shape for x in heads.metric_features] == [(4, model.feature_dim)]
    (heads.logits[0].square().sum() + heads.metric_features[0].square().sum()).backward()
    for parameter_name, p in model.named_parameters():
        assert p.grad is None or p.grad.isfinite().all(), parameter_name
        assert (p.grad is None) == (parameter_name == "head.neck.bias"), parameter_name

    feature = model.eval()(images)
    assert feature.shape == (4, model.feature_dim) and feature.isfinite().all()


@pytest.mark.parametrize("suffix", ["", "_ibn"])
@pytest.mark.parametrize("name", list(BACKBONES))
def test_full_width_has_the_published_parameter_count(name, suffix):
    with torch.device("meta"):
        theirs = published(name)
        ours = resnet(name + suffix)
    assert count(ours) == count(theirs) - count(theirs.fc)
    assert name != "resnet200" or count(ours) == 62_624_832


# Of every block 2·C·C/16 = C²/8: (3·256² + 4·512² + 6·1024² + 3·2048²) / 8 in ResNet-50, the 2.5M of Hu et al.; 23 for
# 6 blocks of 1024 in ResNet-101, 36 for them and 8 or 24 for 4 of 512 in ResNet-152 and -200;
# (2·64² + 2·128² + 2·256² + 2·512²) / 8 in ResNet-18 and 3, 4, 6, 3 for 2 in ResNet-34.
@pytest.mark.parametrize("suffix", ["", "_ibn"])
@pytest.mark.parametrize("name, wanted", [
    ("resnet18", 87_040), ("resnet34", 157_184), ("resnet50", 2_514_944), ("resnet101", 4_743_168),
    ("resnet152", 6_578_176), ("resnet200", 7_102_464),
])
def test_squeeze_and_excitation_adds_two_matrices_a_block(name, wanted, suffix):
    with torch.device("meta"):
        assert count(resnet("se_" + name + suffix)) - count(resnet(name + suffix)) == wanted


@pytest.mark.parametrize("name", list(BACKBONES))
def test_plain_resnet_with_published_weights_gives_the_published_map(name):
    torch.manual_seed(0)
    theirs = published(name).eval()
    ours = resnet(name, last_stride=2).eval()
    weights = [v for key, v in theirs.state_dict().items() if not key.startswith("fc.")]
    ours.load_state_dict(dict(zip(ours.state_dict(), weights, strict=True)))
    images = torch.randn(2, 3, 64, 32)
    their_map = nn.Sequential(*list(theirs.children())[:-2])(images)
    torch.testing.assert_close(ours(images), their_map)


def test_last_stride_changes_the_stride_and_no_weight():
    torch.manual_seed(0)
    fine, coarse = resnet("resnet18", width=0.125, last_stride=1), resnet("resnet18", width=0.125, last_stride=2)
    coarse.load_state_dict(fine.state_dict())
    images = torch.randn(2, 3, 96, 32)
    assert fine(images).shape[2:] == (6, 2) and coarse(images).shape[2:] == (3, 1)
    assert all(m.dilation == (1, 1) for m in fine.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("name", list(BACKBONES))
def test_ibn_stands_after_the_first_convolution_of_layers_1_to_3(name):
    with torch.device("meta"):
        network = resnet(name + "_ibn")
    for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
        for block in layer:
            kinds = [isinstance(m, IBN) for m in block.residual]
            assert kinds == [layer is not network.layer4 and i == 1 for i in range(len(kinds))]
            assert layer is network.layer4 or block.residual[1].split[0] == block.residual[0].out_channels / 2
    assert not any(isinstance(m, IBN) for m in network.stem)


def test_ibn_normalises_the_first_half_per_image_and_the_rest_per_batch():
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn(4, 10, 5, 6)
    ours = IBN(10).train()(x)
    for c in range(10):
        groups = [x[i, c] for i in range(4)] if c < 5 else [x[:, c]]
        wanted = [(g - g.mean()) / (g.var(unbiased=False) + 1e-5).sqrt() for g in groups]
        torch.testing.assert_close(ours[:, c], torch.stack(wanted) if c < 5 else wanted[0])


def test_squeeze_and_excitation_weighs_every_channel_of_every_image_by_its_definition():
    """z = mean of the map, s = sigmoid(W2 relu(W1 z)), output = s · map (Hu et al., Section 3)."""
    torch.manual_seed(0)
    x = 2 + torch.randn(3, 48, 4, 5)
    module = SqueezeExcitation(48)
    squeeze, excite = (p.detach().tolist() for p in module.parameters())
    assert (len(squeeze), len(excite)) == (3, 48)                          # reduction 16
    ours = module(x)
    for image in range(3):
        z = [x[image, c].mean().item() for c in range(48)]
        hidden = [max(0.0, sum(w * v for w, v in zip(row, z, strict=True))) for row in squeeze]
        assert any(hidden)
        for c in range(48):
            weight = 1 / (1 + math.exp(-sum(w * v for w, v in zip(excite[c], hidden, strict=True))))
            torch.testing.assert_close(ours[image, c], weight * x[image, c])


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("ibn", [False, True])
def test_squeeze_and_excitation_ends_the_residual_branch(block, ibn):
    """With weights of 0 it scales what the last batch normalisation gives by sigmoid(0) = 1/2, and not the shortcut."""
    torch.manual_seed(0)
    plain, se = (block(16, 16, stride=2, ibn=ibn, se=se) for se in (False, True))
    nn.init.normal_(plain.residual[-1].bias)
    se.load_state_dict(plain.state_dict(), strict=False)
    assert [type(m) for m in se.residual] == [*(type(m) for m in plain.residual), SqueezeExcitation]
    for p in se.residual[-1].parameters():
        nn.init.zeros_(p)
    x = torch.randn(4, 16, 8, 6)
    torch.testing.assert_close(se(x), torch.relu(plain.residual(x) / 2 + plain.shortcut(x)))


def test_convolutions_start_from_the_named_distribution():
    torch.manual_seed(0)
    weight = conv(64, 128, 3).weight
    assert weight.mean().abs() < 1e-3
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.02)


def test_width_scales_every_channel_in_multiples_of_8():
    assert [scaled_channels(64, w) for w in (0.01, 0.25, 0.3, 1.0, 1.5)] == [8, 16, 16, 64, 96]
    with torch.device("meta"):
        network = resnet("resnet50", width=0.3)
    assert network.channels == 4 * 152
    channels = {m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)}
    assert all(c % 8 == 0 for c in channels) and max(channels) == network.channels


@pytest.mark.parametrize("options, message", [
    ({"name": "resnet51"}, "backbone: 'resnet51'"),
    ({"name": "se_se_resnet18"}, "backbone: 'se_se_resnet18'"),
    ({"name": "resnet18", "last_stride": 4}, "last_stride: "),
    ({"name": "resnet18", "width": 0.0}, "width: "),
    ({"name": "resnet18", "width": math.nan}, "width: "),
])
def test_an_unknown_backbone_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        resnet(**options)
