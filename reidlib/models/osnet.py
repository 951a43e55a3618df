"""OSNet: every block looks at four scales and weighs them anew for each image and channel; any width, stride 16.

Shapes: B batch, C channels, H and W height and width of the image or map.
Source: Zhou et al., Omni-Scale Feature Learning for Person Re-Identification (ICCV 2019). What its text leaves open
(which layers have a bias, the starting weights) is as in the authors' code.
"""

import math

import torch
from torch import Tensor, nn

from reidlib.models.resnet import scaled_channels

FC_CHANNELS = 512    # at every width, so that features of all widths have the same size
BACKBONES = ("osnet", "osnet_fc")


def conv_norm(in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> list[nn.Module]:
    """A convolution without bias, padded to keep the size, and its batch normalisation; no activation."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]


def light_conv(channels: int) -> list[nn.Module]:
    """The paper's Lite 3×3: a 1×1 convolution with nothing after it, then a depthwise 3×3 one with BN and ReLU."""
    return [
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
    ]


def aggregation_gate(channels: int, reduction: int = 16) -> nn.Sequential:
    """How much of each channel to let through, from the whole map: (B, C, H, W) -> (B, C, 1, 1) in (0, 1)."""
    hidden = max(1, channels // reduction)
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True),
        nn.Conv2d(hidden, channels, 1), nn.Sigmoid(),
    )


class OSBlock(nn.Module):
    """Four streams of 1 to 4 Lite 3×3 in a bottleneck: (B, in_channels, H, W) -> (B, out_channels, H, W).

    Their receptive fields are 3, 5, 7 and 9 wide. One gate serves all four, which is how the streams learn of each
    other; their gated maps are summed.
    Source: Zhou et al. (ICCV 2019), Section 3.2 and Figure 4 (b).
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        middle = out_channels // 4
        self.reduce = nn.Sequential(*conv_norm(in_channels, middle), nn.ReLU(inplace=True))
        self.streams = nn.ModuleList(
            nn.Sequential(*(layer for _ in range(depth) for layer in light_conv(middle))) for depth in (1, 2, 3, 4)
        )
        self.gate = aggregation_gate(middle)
        self.expand = nn.Sequential(*conv_norm(middle, out_channels))
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Sequential(*conv_norm(in_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        scales = [stream(reduced) for stream in self.streams]                  # four of (B, out_channels / 4, H, W)
        gated = sum(scale * self.gate(scale) for scale in scales)
        return torch.relu(self.expand(gated) + self.shortcut(x))


def stage(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [OSBlock(in_channels, out_channels), OSBlock(out_channels, out_channels)]


def transition(channels: int) -> list[nn.Module]:
    """What halves a map between two stages: (B, C, H, W) -> (B, C, H/2, W/2)."""
    return [*conv_norm(channels, channels), nn.ReLU(inplace=True), nn.AvgPool2d(2)]


def fully_connected(channels: int) -> nn.Sequential:
    """Pooling and one layer: (B, C, H, W) -> (B, FC_CHANNELS, 1, 1), all >= 0."""
    linear = nn.Linear(channels, FC_CHANNELS)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear, nn.BatchNorm1d(FC_CHANNELS), nn.ReLU(inplace=True),
        nn.Unflatten(1, (FC_CHANNELS, 1, 1)),
    )


class OSNet(nn.Module):
    """Images (B, 3, H, W) -> feature map (B, `channels`, H/16, W/16), or (B, `channels`, 1, 1) with fc.

    Its stages are `conv1` to `conv5`, named as in the paper, and `fc`, an identity without the fully connected layer.
    Source: Zhou et al. (ICCV 2019), Table 1.
    """

    def __init__(self, *, width: float, fc: bool):
        super().__init__()
        c1, c2, c3, c4 = (scaled_channels(channels, width) for channels in (64, 256, 384, 512))
        self.conv1 = nn.Sequential(
            *conv_norm(3, c1, 7, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        self.conv2 = nn.Sequential(*stage(c1, c2), *transition(c2))
        self.conv3 = nn.Sequential(*stage(c2, c3), *transition(c3))
        self.conv4 = nn.Sequential(*stage(c3, c4))
        self.conv5 = nn.Sequential(*conv_norm(c4, c4), nn.ReLU(inplace=True))
        self.fc = fully_connected(c4) if fc else nn.Identity()
        self.channels = FC_CHANNELS if fc else c4
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # torch counts a depthwise convolution's fan-out as if it were dense, and so does the authors' code.
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv5(self.conv4(self.conv3(self.conv2(self.conv1(images))))))


def osnet(name: str = "osnet", *, width: float = 1.0) -> OSNet:
    """A backbone by its name, starting from random weights.

    name: "osnet", which ends with a map as FastReID's does, or "osnet_fc", which also averages the map and ends with
        the paper's fully connected layer (with bias, batch normalisation and ReLU) to 512 channels at any width. Its
        output is a map of one pixel, which a head's pooling leaves as it is (GeM's exponent then learns nothing).
    width: factor on all other channels, > 0; they are rounded to multiples of 8. The paper has 1, 0.75, 0.5 and 0.25.
    Raises ValueError for another name or width.
    """
    if name not in BACKBONES:
        raise ValueError(f"backbone: {name!r} is none of {', '.join(BACKBONES)}")
    if not 0 < width < math.inf:
        raise ValueError(f"width: want a factor > 0, got {width!r}")
    return OSNet(width=width, fc=name == "osnet_fc")
