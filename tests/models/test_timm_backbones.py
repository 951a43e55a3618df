"""ResNeSt and SE-ResNeXt against timm's own networks and the published sizes, and one test over all of them."""

import math

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from reidlib.models import Baseline
from reidlib.models.baseline import make_backbone
from reidlib.models.resnet import ResNet
from reidlib.models.timm_backbones import DEPTHS, TIMM_BACKBONES, TimmBackbone, timm_backbone

THEIRS = {
    "resnest14": "resnest14d", "resnest26": "resnest26d", "resnest50": "resnest50d", "resnest101": "resnest101e",
    "resnest200": "resnest200e", "se_resnext50": "seresnext50_32x4d", "se_resnext101": "seresnext101_32x4d",
}


def count(module):
    return sum(p.numel() for p in module.parameters())


def conv_paths(network):
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}


@pytest.mark.parametrize("name, width", [
    *((name, 0.125) for name in TIMM_BACKBONES), ("resnest200", 1.0), ("se_resnext200", 1.0),
])
def test_every_backbone_trains_and_embeds(name, width):
    """Two steps: before the first one every residual branch is multiplied by 0, and nothing in it has a gradient."""
    torch.manual_seed(0)
    model = Baseline(num_classes=5, backbone=name, width=width, pooling="gem", dropout=0.2)
    assert model.head.dropout.p == 0.2
    images = torch.randn(4, 3, 64, 32)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        heads = model.train()(images)
        assert [x.shape for x in heads.logits] == [(4, 5)]
        functional.cross_entropy(heads.logits[0], torch.arange(4)).backward()
        for parameter_name, p in model.named_parameters():
            assert p.grad is None or p.grad.isfinite().all(), parameter_name
            assert (p.grad is None) == (parameter_name == "head.neck.bias"), parameter_name
        optimiser.step()
    for path, module in conv_paths(model.backbone).items():
        assert ".se." in path or module.weight.grad.any(), path    # 8 hidden units of an attention may all rest

    with torch.no_grad():
        feature = model.eval()(images)
        assert model.backbone(images).shape == (4, model.feature_dim, 4, 2)    # stride 16
    assert feature.shape == (4, model.feature_dim) and feature.isfinite().all()


@pytest.mark.parametrize("name, theirs", [*THEIRS.items(), ("se_resnext26", "legacy_seresnext26_32x4d")])
def test_full_width_has_timms_parameter_count(name, theirs):
    with torch.device("meta"):
        assert count(timm_backbone(name)) == count(timm.create_model(theirs, pretrained=False, num_classes=0))


# In millions, with a classifier of 1000 classes, as Zhang et al. give them for ResNeSt and timm for SE-ResNeXt.
@pytest.mark.parametrize("name, millions", [
    ("resnest50", 27.5), ("resnest101", 48.3), ("resnest200", 70.2), ("se_resnext50", 27.6), ("se_resnext101", 49.0),
])
def test_full_width_has_the_published_size(name, millions):
    with torch.device("meta"):
        assert (count(timm_backbone(name)) + 2048 * 1000 + 1000) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("kind", ["resnest", "se_resnext"])
@pytest.mark.parametrize("depth", [152, 200])
def test_deeper_networks_are_the_101_with_more_of_its_blocks(kind, depth):
    """None has been published for the report's ResNeSt-152, SE-ResNeXt-152 and -200: this says what they are."""
    more = {152: (4, 13), 200: (20, 13)}[depth]    # blocks of layer2 and layer3 over 4 and 23
    with torch.device("meta"):
        base, deep = timm_backbone(f"{kind}101"), timm_backbone(f"{kind}{depth}")
    assert count(deep) == count(base) + more[0] * count(base.layer2[1]) + more[1] * count(base.layer3[1])
    assert sum(DEPTHS[depth]) * 3 + 2 == depth


@pytest.mark.parametrize("name", list(THEIRS))
def test_with_timms_weights_and_last_stride_2_it_gives_timms_map(name):
    torch.manual_seed(0)
    theirs = timm.create_model(THEIRS[name], pretrained=False, num_classes=0, zero_init_last=False).eval()
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(std=0.1)
                module.running_mean.normal_(std=0.1)
    with torch.device("meta"):
        ours = timm_backbone(name, last_stride=2).eval()
    weights = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(weights, assign=True)
    images = torch.randn(2, 3, 72, 40)    # odd maps: 9×5 before layer3, 5×3 before layer4
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.forward_features(images))


@pytest.mark.parametrize("name", list(TIMM_BACKBONES))
def test_last_stride_1_doubles_the_map_without_dilation_or_another_weight(name):
    with torch.device("meta"):
        fine, coarse = (timm_backbone(name, last_stride=stride).eval() for stride in (1, 2))
        for columns in (128, 192):
            assert fine(torch.empty(1, 3, 384, columns)).shape == (1, 2048, 24, columns // 16)
        assert coarse(torch.empty(1, 3, 384, 128)).shape == (1, 2048, 12, 4)
    assert [(key, v.shape) for key, v in fine.state_dict().items()] == [
        (key, v.shape) for key, v in coarse.state_dict().items()]
    for network in (fine, coarse):
        assert all(m.dilation == (1, 1) for m in conv_paths(network).values())
        assert {type(m) for m in network.modules() if "Pool" in type(m).__name__} <= {nn.MaxPool2d, nn.AvgPool2d}
    assert all(m.stride == (1, 1) for m in conv_paths(fine.layer4).values())


@pytest.mark.parametrize("name", ["resnest14", "se_resnext14"])
def test_layer4_at_stride_1_is_layer4_at_stride_2_without_its_steps(name):
    """Written out with the weights of the strided network: what had stride 2 has 1, the 2×2 mean is gone."""
    torch.manual_seed(0)
    fine, coarse = (timm_backbone(name, width=0.125, last_stride=stride).eval() for stride in (1, 2))
    nn.init.uniform_(coarse.layer4[0].bn3.weight)                         # it starts at 0, which would hide the branch
    fine.load_state_dict(coarse.state_dict())
    block = coarse.layer4[0]
    x = torch.randn(2, 4 * 32, 6, 4)
    y = torch.relu(block.bn1(block.conv1(x)))
    if name == "resnest14":
        y = functional.avg_pool2d(block.conv2(y), kernel_size=3, stride=1, padding=1)
        y = block.bn3(block.conv3(y))
        projection, norm = block.downsample[1:]
    else:
        y = functional.conv2d(y, block.conv2.weight, stride=1, padding=1, groups=block.conv2.groups)
        y = block.se(block.bn3(block.conv3(torch.relu(block.bn2(y)))))
        projection, norm = block.downsample
    wanted = torch.relu(y + norm(functional.conv2d(x, projection.weight)))
    torch.testing.assert_close(fine.layer4[0](x), wanted)


@pytest.mark.parametrize("width, base, deep_stem", [
    (0.01, 8, 8), (0.125, 8, 8), (0.25, 16, 8), (0.3, 16, 8), (0.4, 24, 16), (1.0, 64, 32), (1.5, 96, 48),
])
def test_width_scales_every_stage_alike(width, base, deep_stem):
    with torch.device("meta"):
        resnest, resnext = timm_backbone("resnest14", width=width), timm_backbone("se_resnext14", width=width)
    assert resnest.stem[0].out_channels == deep_stem and resnext.stem[0].out_channels == base
    for network in (resnest, resnext):
        assert network.channels == 32 * base
        assert [getattr(network, f"layer{i}")[0].conv3.out_channels for i in (1, 2, 3, 4)] == [
            4 * base, 8 * base, 16 * base, 32 * base]
        assert all(m.out_channels % 8 == 0 for m in conv_paths(network).values())
    for i in range(4):
        block = getattr(resnext, f"layer{i + 1}")[0]
        assert block.conv2.in_channels == block.conv2.out_channels == 2**i * 2 * base    # half of the 4 · base / 2
        assert block.conv2.groups == base // 2                                           # 32 at full width
        assert getattr(resnest, f"layer{i + 1}")[0].conv3.in_channels == 2**i * base


@pytest.mark.parametrize("name", ["resnest26", "se_resnext26"])
def test_every_block_starts_as_its_shortcut(name):
    torch.manual_seed(0)
    network = timm_backbone(name, width=0.5).eval()
    x = torch.rand(2, 512, 4, 2)
    first, second = network.layer3
    torch.testing.assert_close(second(first(x[:, :256])), torch.relu(first.downsample(x[:, :256])))
    weight = network.layer4[1].conv3.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / len(weight)), rel=0.02)    # as in the other backbones


def test_a_name_leads_to_its_family():
    with torch.device("meta"):
        assert isinstance(make_backbone("se_resnext14", width=0.25), TimmBackbone)
        assert isinstance(make_backbone("se_resnet18", width=0.25), ResNet)
        assert make_backbone("resnest14", last_stride=2, width=0.25)(torch.empty(2, 3, 64, 32)).shape == (2, 512, 2, 1)


@pytest.mark.parametrize("options, message", [
    ({"name": "resnest51"}, "backbone: 'resnest51' is none of resnest14, "),
    ({"name": "se_resnext101_ibn"}, "backbone: 'se_resnext101_ibn'"),
    ({"name": "seresnext101"}, "backbone: 'seresnext101'"),
    ({"name": "resnest14", "last_stride": 4}, "last_stride: "),
    ({"name": "resnest14", "width": 0.0}, "width: "),
    ({"name": "resnest14", "width": math.nan}, "width: "),
])
def test_an_unknown_backbone_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_backbone(**options)
