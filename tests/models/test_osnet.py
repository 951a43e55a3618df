"""OSNet against its published sizes, one block written out from the paper, and the path through Baseline."""

import math

import pytest
import torch
from torch import nn

from reidlib.models import Baseline, set_frozen
from reidlib.models.baseline import make_backbone
from reidlib.models.osnet import OSBlock, OSNet, osnet


def count(module):
    return sum(p.numel() for p in module.parameters())


# The paper and its authors' model zoo give 2.2, 1.3, 0.6 and 0.2 million with the fully connected layer.
@pytest.mark.parametrize("width, channels, millions", [
    (1.0, [64, 256, 384, 512], 2.2), (0.75, [48, 192, 288, 384], 1.3), (0.5, [32, 128, 192, 256], 0.6),
    (0.25, [16, 64, 96, 128], 0.2), (0.3, [16, 80, 112, 152], None), (0.125, [8, 32, 48, 64], None),
    (0.01, [8, 8, 8, 8], None),
])
def test_width_scales_every_stage_and_the_published_widths_have_the_published_size(width, channels, millions):
    plain, full = osnet(width=width), osnet("osnet_fc", width=width)
    assert plain.conv1[0].out_channels == channels[0] and plain.channels == channels[-1] and full.channels == 512
    for stage, wanted in zip((plain.conv2, plain.conv3, plain.conv4), channels[1:], strict=True):
        assert {(block.reduce[0].out_channels, block.expand[0].out_channels) for block in stage[:2]} == {
            (wanted // 4, wanted)}
    assert count(full) - count(plain) == (channels[-1] + 1) * 512 + 2 * 512    # linear with bias, batch normalisation
    assert millions is None or round(count(full) / 1e6, 1) == millions


def test_full_width_has_the_published_parameter_count():
    assert count(osnet("osnet")) == 1_905_828
    assert count(osnet("osnet_fc")) == 2_169_508


@pytest.mark.parametrize("size, wanted", [((256, 128), (16, 8)), ((64, 32), (4, 2)), ((32, 16), (2, 1))])
def test_the_map_is_a_sixteenth_of_the_image(size, wanted):
    images = torch.randn(2, 3, *size)
    assert osnet(width=0.25)(images).shape == (2, 128, *wanted)
    assert osnet("osnet_fc", width=0.25)(images).shape == (2, 512, 1, 1)


@torch.no_grad()
def test_between_the_blocks_stand_the_layers_of_table_1():
    torch.manual_seed(0)
    network = osnet(width=0.25).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias)

    def conv_norm_relu(x, conv, norm, **options):
        return norm(nn.functional.conv2d(x, conv.weight, **options)).clamp(min=0)

    images = torch.randn(2, 3, 64, 32)
    wanted = nn.functional.max_pool2d(conv_norm_relu(images, *network.conv1[:2], stride=2, padding=3), 3, 2, padding=1)
    torch.testing.assert_close(network.conv1(images), wanted)
    for stage in (network.conv2, network.conv3):
        x = torch.randn(2, stage[1].expand[0].out_channels, 6, 4)
        y = conv_norm_relu(x, *stage[2:4])
        wanted = (y[:, :, ::2, ::2] + y[:, :, 1::2, ::2] + y[:, :, ::2, 1::2] + y[:, :, 1::2, 1::2]) / 4
        torch.testing.assert_close(stage[2:](x), wanted)
    assert len(network.conv4) == 2                                             # no transition after the last blocks
    x = torch.randn(2, 128, 3, 2)
    torch.testing.assert_close(network.conv5(x), conv_norm_relu(x, *network.conv5[:2]))


def by_hand(block, x):
    """Zhou et al., Section 3.2, of training: weights taken one by one in the order in which the paper uses them."""
    weights = iter(block.parameters())

    def one_by_one(x):
        return torch.einsum("oi,bihw->bohw", next(weights)[:, :, 0, 0], x)

    def depthwise(x):
        kernel, (height, width) = next(weights), x.shape[2:]
        out = torch.zeros_like(x)
        for i in range(height):
            for j in range(width):
                for di in (-1, 0, 1):
                    for dj in (-1, 0, 1):
                        if 0 <= i + di < height and 0 <= j + dj < width:
                            out[:, :, i, j] += kernel[:, 0, di + 1, dj + 1] * x[:, :, i + di, j + dj]
        return out

    def normalised(x):
        centred = x - x.mean(dim=(0, 2, 3), keepdim=True)
        variance = centred.square().mean(dim=(0, 2, 3), keepdim=True)
        scale, shift = next(weights), next(weights)
        return centred / (variance + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]

    def relu(x):
        return x.clamp(min=0)

    reduced = relu(normalised(one_by_one(x)))
    streams = []
    for depth in (1, 2, 3, 4):
        y = reduced
        for _ in range(depth):
            y = relu(normalised(depthwise(one_by_one(y))))
        streams.append(y)
    w1, b1, w2, b2 = (next(weights) for _ in range(4))                         # the one gate
    total = 0
    for y in streams:
        hidden = relu(y.mean(dim=(2, 3)) @ w1[:, :, 0, 0].T + b1)
        assert hidden.any()                                                    # else w1 could be anything
        total = total + y / (1 + torch.exp(-(hidden @ w2[:, :, 0, 0].T + b2)))[:, :, None, None]
    residual = normalised(one_by_one(total))
    out = relu(residual + (x if x.shape[1] == residual.shape[1] else normalised(one_by_one(x))))
    assert not list(weights)
    return out


def random_block(in_channels):
    """Every parameter away from its start, so that none is multiplied or added without effect; a gate wide awake."""
    torch.manual_seed(0)
    block = OSBlock(in_channels, 128)
    for p in block.parameters():
        nn.init.normal_(p, std=0.5)
    nn.init.constant_(block.gate[1].bias, 3.0)
    return block.double().train()


@pytest.mark.parametrize("in_channels", [8, 128])
@torch.no_grad()
def test_a_block_is_four_streams_one_gate_a_sum_and_a_shortcut(in_channels):
    block = random_block(in_channels)
    x = torch.randn(3, in_channels, 4, 3).double()
    assert isinstance(block.shortcut, nn.Identity) == (in_channels == 128)
    torch.testing.assert_close(block(x), by_hand(block, x))


def test_the_streams_see_3_5_7_and_9_pixels():
    block = OSBlock(16, 16).eval()
    for p in block.streams.parameters():
        nn.init.constant_(p, 0.1)                                              # positive: every ReLU lets through
    for stream, field in zip(block.streams, (3, 5, 7, 9), strict=True):
        x = torch.rand(1, 4, 13, 13, requires_grad=True)
        stream(x)[0, 0, 6, 6].backward()
        wanted = torch.zeros(13, 13, dtype=torch.bool)
        wanted[6 - field // 2:7 + field // 2, 6 - field // 2:7 + field // 2] = True
        assert all(torch.equal(seen, wanted) for seen in x.grad[0] != 0)       # the 1×1 convolutions mix all channels


def test_one_gate_weighs_all_four_streams_by_image_and_channel():
    block = random_block(128)
    assert [list(p.shape) for name, p in block.named_parameters() if "gate" in name] == [
        [2, 32, 1, 1], [2], [32, 2, 1, 1], [32]]                               # reduction 16, with biases, once
    streams, seen, gates = [], [], []
    for stream in block.streams:
        stream.register_forward_hook(lambda module, inputs, output: streams.append(output))
    block.gate.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    block.gate.register_forward_hook(lambda module, inputs, output: gates.append(output))
    block(torch.randn(3, 128, 4, 3).double())
    assert len(gates) == 4 and all(a is b for a, b in zip(streams, seen, strict=True))
    for gate in gates:
        assert gate.shape == (3, 32, 1, 1) and gate.min() > 0 and gate.max() < 1
        assert (gate.std(dim=0) > 0).all() and (gate.std(dim=1) > 0).all()


@pytest.mark.parametrize("name", ["osnet", "osnet_fc"])
def test_it_starts_from_the_named_distributions(name):
    torch.manual_seed(0)
    network = osnet(name)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 500:
            wanted = math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels))
            assert module.weight.std().item() == pytest.approx(wanted, rel=0.15)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        elif isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.01, rel=0.02)
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            assert (module.bias == 0).all()


def step(model, optimiser):
    heads = model(torch.randn(8, 3, 64, 32))
    optimiser.zero_grad()
    (nn.functional.cross_entropy(heads.logits[0], torch.arange(8) // 2) + heads.metric_features[0].square().mean()
     ).backward()
    optimiser.step()


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("backbone, pooling", [("osnet", "gem"), ("osnet_fc", "average")])
def test_one_training_step_changes_all_but_the_frozen(backbone, pooling):
    torch.manual_seed(0)
    model = Baseline(num_classes=4, backbone=backbone, pooling=pooling).train()
    assert isinstance(model.backbone, OSNet)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)

    set_frozen(model, True)
    before = state(model)
    step(model, optimiser)
    assert {name.split(".")[0] for name, value in state(model).items() if not torch.equal(value, before[name])} == {
        "head"}

    set_frozen(model, False)
    before = state(model)
    step(model, optimiser)
    same = {name for name, value in state(model).items() if torch.equal(value, before[name])}
    # A batch normalisation takes the linear layer's bias away again: its gradient is rounding.
    assert same - {"backbone.fc.2.bias"} == {"head.neck.bias"}
    assert all(p.isfinite().all() for p in model.parameters())

    feature = model.eval()(torch.randn(3, 3, 64, 32))
    assert feature.shape == (3, model.feature_dim) and feature.isfinite().all() and model.feature_dim == 512


@pytest.mark.parametrize("pooling, smallest", [("average", 0.0), ("gem", 1e-6)])
def test_the_fully_connected_layer_sees_the_mean_of_the_map_whatever_the_pooling(pooling, smallest):
    torch.manual_seed(0)
    model = Baseline(backbone="osnet_fc", width=0.25, pooling=pooling).eval()
    images = torch.randn(2, 3, 64, 32)
    linear, norm = model.backbone.fc[2:4]
    nn.init.normal_(norm.bias)
    maps = []
    model.backbone.conv5.register_forward_hook(lambda module, inputs, output: maps.append(output))
    feature = model(images)
    wanted = norm(maps[0].mean(dim=(2, 3)) @ linear.weight.T + linear.bias).clamp(min=smallest)
    torch.testing.assert_close(feature, model.head.neck(wanted))


def test_too_small_images_are_refused_as_for_every_backbone():
    model = Baseline(backbone="osnet", width=0.25).eval()
    assert model(torch.randn(1, 3, 32, 16)).shape == (1, 128)
    with pytest.raises(ValueError, match="images: want"):
        model(torch.randn(1, 3, 31, 16))


@pytest.mark.parametrize("options, message", [
    ({"name": "osnet_x1_0"}, "backbone: 'osnet_x1_0' is none of osnet, osnet_fc"),
    ({"name": "osnet", "width": 0.0}, "width: "),
    ({"name": "osnet", "width": math.inf}, "width: "),
    ({"name": "osnet", "last_stride": 2}, "last_stride: "),
])
def test_an_unknown_backbone_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_backbone(**options)
