"""ResNet, plain, with IBN-a and with squeeze-and-excitation: no classifier, last stride 1, any width.

Shapes: B batch, C channels, H and W height and width of the image.
Sources: He et al., Deep Residual Learning (CVPR 2016); Pan et al., Two at Once: IBN-Net (ECCV 2018); Hu et al.,
Squeeze-and-Excitation Networks (CVPR 2018); Luo et al., Bag of Tricks (CVPRW 2019), Section 3.4, for the last stride.
"""

import math

import torch
from torch import Tensor, nn

SMALLEST_IMAGE = (32, 16)    # (H, W): instance normalisation wants more than one pixel at stride 16


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, padded to keep the size, drawn from N(0, sqrt(2 / (kernel² · out_channels)))."""
    layer = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (kernel**2 * out_channels)))
    return layer


class IBN(nn.Module):
    """Instance normalisation on the first half of the channels, batch normalisation on the rest (IBN-a).

    (B, C, H, W) -> the same shape. It has as many parameters as the batch normalisation it replaces.
    Source: Pan et al. (ECCV 2018).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.split = [channels // 2, channels - channels // 2]
        self.instance = nn.InstanceNorm2d(self.split[0], affine=True)
        self.batch = nn.BatchNorm2d(self.split[1])

    def forward(self, x: Tensor) -> Tensor:
        appearance, content = x.split(self.split, dim=1)
        return torch.cat((self.instance(appearance), self.batch(content)), dim=1)


class SqueezeExcitation(nn.Module):
    """Channels weighted by what the whole map holds: (B, C, H, W) -> the same shape, reduction 16, no biases.

    Source: Hu et al. (CVPR 2018), Section 3, without the biases, as FastReID has it.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        squeezed = max(1, channels // reduction)
        self.weigh = nn.Sequential(
            nn.Linear(channels, squeezed, bias=False), nn.ReLU(inplace=True),
            nn.Linear(squeezed, channels, bias=False), nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weigh(x.mean(dim=(2, 3)))[:, :, None, None]


def first_norm(channels: int, ibn: bool) -> nn.Module:
    return IBN(channels) if ibn else nn.BatchNorm2d(channels)


def attention(channels: int, se: bool) -> list[nn.Module]:
    """What ends a residual branch, before the sum."""
    return [SqueezeExcitation(channels)] if se else []


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: (B, in_channels, H, W) -> (B, planes, H/stride, W/stride)."""

    expansion = 1

    def __init__(self, in_channels: int, planes: int, *, stride: int, ibn: bool, se: bool):
        super().__init__()
        self.residual = nn.Sequential(
            conv(in_channels, planes, 3, stride), first_norm(planes, ibn), nn.ReLU(inplace=True),
            conv(planes, planes, 3), nn.BatchNorm2d(planes), *attention(planes, se),
        )
        self.shortcut = shortcut(in_channels, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1×1, 3×3 (with the stride) and 1×1: (B, in_channels, H, W) -> (B, 4 · planes, H/stride, W/stride)."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int, *, stride: int, ibn: bool, se: bool):
        super().__init__()
        out_channels = self.expansion * planes
        self.residual = nn.Sequential(
            conv(in_channels, planes, 1), first_norm(planes, ibn), nn.ReLU(inplace=True),
            conv(planes, planes, 3, stride), nn.BatchNorm2d(planes), nn.ReLU(inplace=True),
            conv(planes, out_channels, 1), nn.BatchNorm2d(out_channels), *attention(out_channels, se),
        )
        self.shortcut = shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


BACKBONES = {    # name: (block, blocks in layer1 to layer4)
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
    # Not in torchvision. He et al., Identity Mappings (ECCV 2016), add 16 blocks to layer2 and normalise before each
    # convolution; here, as in timm, the blocks are those of the other depths.
    "resnet200": (Bottleneck, (3, 24, 36, 3)),
}


class ResNet(nn.Module):
    """Images (B, 3, H, W) -> feature map (B, `channels`, H/16, W/16), or H/32 and W/32 with last_stride=2.

    Its stages are `stem`, `layer1` to `layer4`, so that MGN can share the first ones and copy the others.
    Source: He et al. (CVPR 2016), Table 1, with a bottleneck's stride on its 3×3 convolution as in torchvision.
    """

    def __init__(self, block: type, depths: tuple[int, int, int, int], *, ibn: bool, se: bool, last_stride: int,
                 width: float):
        super().__init__()
        base, *planes = (scaled_channels(channels, width) for channels in (64, 64, 128, 256, 512))
        # FastReID's stem pools with ceil_mode and no padding: the same size on a grid shifted by half a pixel.
        # This is torchvision's.
        self.stem = nn.Sequential(
            conv(3, base, 7, stride=2), nn.BatchNorm2d(base), nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        ins = (base, *(block.expansion * p for p in planes))
        strides = (1, 2, 2, last_stride)
        ibns = (ibn, ibn, ibn, False)    # IBN-a leaves the last stage plain: what it sees should tell people apart
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(*(
                block(ins[i] if j == 0 else ins[i + 1], planes[i], stride=strides[i] if j == 0 else 1, ibn=ibns[i],
                      se=se)
                for j in range(depths[i])
            ))
            for i in range(4)
        )
        self.channels = ins[-1]

    def forward(self, images: Tensor) -> Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(images)))))


def scaled_channels(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to a multiple of 8 and at least 8."""
    return max(8, 8 * round(channels * width / 8))


def resnet(name: str, *, last_stride: int = 1, width: float = 1.0) -> ResNet:
    """A backbone by its name, starting from random weights.

    name: a key of BACKBONES, with "_ibn" appended for IBN-a and "se_" in front for squeeze-and-excitation in every
        block ("resnet50_ibn", "se_resnet101_ibn").
    last_stride: stride of layer4; 1 keeps a map twice as fine at the same size of weights (no dilation), 2 is He et al.
    width: factor on all channels, > 0; they are rounded to multiples of 8.
    Raises ValueError for another name, stride or width.
    """
    plain = name.removeprefix("se_").removesuffix("_ibn")
    if plain not in BACKBONES:
        raise ValueError(f"backbone: {name!r} is none of {', '.join(BACKBONES)} "
                         "(each also with se_ before it and _ibn after it)")
    if last_stride not in (1, 2):
        raise ValueError(f"last_stride: want 1 or 2, got {last_stride!r}")
    if not 0 < width < math.inf:
        raise ValueError(f"width: want a factor > 0, got {width!r}")
    block, depths = BACKBONES[plain]
    return ResNet(block, depths, ibn=name.endswith("_ibn"), se=name.startswith("se_"), last_stride=last_stride,
                  width=width)


def check_images(images: Tensor, *, training: bool) -> Tensor:
    """`images` as they came, when a model can take them; else a ValueError that says what it wants."""
    height, width = SMALLEST_IMAGE
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] < height or images.shape[3] < width:
        raise ValueError(f"images: want (B, 3, H, W) with H >= {height} and W >= {width}, got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"images: want normalised floating point numbers, got {images.dtype}")
    if len(images) < (2 if training else 1):
        raise ValueError(f"images: want at least {2 if training else 1} in a batch"
                         f"{' to train (batch normalisation)' if training else ''}, got {len(images)}")
    return images
