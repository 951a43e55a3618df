"""ResNeSt and SE-ResNeXt from timm's blocks: no classifier, last stride 1, any width, random starting weights.

Shapes: B batch, C channels, H and W height and width of the image.
Report `along` (Section 3.3) trains both with 101, 152 and 200 layers. timm has ResNeSt-14, -26, -50, -101 and -200 and
SE-ResNeXt-50 and -101 (32x4d) just as they are here. ResNeSt-152, SE-ResNeXt-152 and -200 are in neither timm, the
papers nor the report's text: here they have the blocks a stage of ResNet-152 (He et al., CVPR 2016) and of ResNeSt-200,
which are those of ResNet-200. SE-ResNeXt-14 and -26 are light stand-ins with ResNeSt's blocks a stage.
Sources: Zhang et al., ResNeSt: Split-Attention Networks (2020); Xie et al., Aggregated Residual Transformations (CVPR
2017); Hu et al., Squeeze-and-Excitation Networks (CVPR 2018); Luo et al., Bag of Tricks (CVPRW 2019), Section 3.4.
"""

import math
from collections.abc import Callable

from timm.models.resnest import ResNestBottleneck
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from reidlib.models.resnet import conv, scaled_channels

DEPTHS = {    # layers: blocks in layer1 to layer4
    14: (1, 1, 1, 1),
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
TIMM_BACKBONES = {f"{kind}{depth}": (kind, depth) for kind in ("resnest", "se_resnext") for depth in DEPTHS}


def norm_relu(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def plain_stem(channels: int) -> nn.Sequential:
    """ResNet's 7×7 convolution and max pooling: (B, 3, H, W) -> (B, channels, H/4, W/4)."""
    return nn.Sequential(conv(3, channels, 7, stride=2), *norm_relu(channels), nn.MaxPool2d(3, stride=2, padding=1))


def deep_stem(channels: int) -> nn.Sequential:
    """ResNeSt's three 3×3 convolutions and max pooling: (B, 3, H, W) -> (B, 2 · channels, H/4, W/4)."""
    return nn.Sequential(
        conv(3, channels, 3, stride=2), *norm_relu(channels), conv(channels, channels, 3), *norm_relu(channels),
        conv(channels, 2 * channels, 3), *norm_relu(2 * channels), nn.MaxPool2d(3, stride=2, padding=1),
    )


def resnest_block(in_channels: int, planes: int, *, stage: int, first: bool, stride: int) -> nn.Module:
    """Split attention of radix 2: (B, in_channels, H, W) -> (B, 4 · planes, H/stride, W/stride).

    From the second stage on, a 3×3 mean in a stage's first block takes the stride. With stride 1 that mean stays, as in
    the authors' code and FastReID's; the 2×2 mean of the shortcut goes, which would lose a row and a column.
    """
    shortcut = None
    if first:
        halve = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False) if stride == 2 else nn.Identity()
        shortcut = nn.Sequential(halve, conv(in_channels, 4 * planes, 1), nn.BatchNorm2d(4 * planes))
    return ResNestBottleneck(in_channels, planes, stride, shortcut, radix=2, avd=True, is_first=first and stage > 0)


def se_resnext_block(in_channels: int, planes: int, *, stage: int, first: bool, stride: int) -> nn.Module:
    """Grouped 3×3 convolution (with the stride), then squeeze-and-excitation: shapes as above.

    A group has 4 channels in the first stage and twice as many in every further one, at any width. At full width
    there are 32 groups ("32x4d"), at others as many as the channels allow.
    """
    shortcut = None
    if first:
        shortcut = nn.Sequential(conv(in_channels, 4 * planes, 1, stride), nn.BatchNorm2d(4 * planes))
    group, groups = 4 * 2**stage, planes // (2 * 2**stage)
    return Bottleneck(in_channels, planes, stride, shortcut, cardinality=groups, base_width=64 * group / planes,
                      attn_layer="se")


class TimmBackbone(nn.Module):
    """Images (B, 3, H, W) -> feature map (B, `channels`, H/16, W/16), or H/32 and W/32 with last_stride=2.

    Its stages are `stem` and `layer1` to `layer4`, as those of reidlib.models.resnet.ResNet. Convolutions start as
    there. As in timm, the last batch normalisation of every residual branch starts at weight 0: each block begins as
    its shortcut, and the first gradients do not grow with the depth (started at 1, they do).
    """

    def __init__(self, stem: nn.Module, stem_channels: int, block: Callable[..., nn.Module], depths: tuple[int, ...],
                 *, base: int, last_stride: int):
        super().__init__()
        self.stem = stem
        channels = stem_channels
        for stage, (depth, stride) in enumerate(zip(depths, (1, 2, 2, last_stride), strict=True)):
            blocks = []
            for i in range(depth):
                blocks.append(block(channels, base * 2**stage, stage=stage, first=i == 0, stride=1 if i else stride))
                channels = 4 * base * 2**stage
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (ResNestBottleneck, Bottleneck)):
                module.zero_init_last()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(images)))))


def timm_backbone(name: str, *, last_stride: int = 1, width: float = 1.0) -> TimmBackbone:
    """A backbone by its name, starting from random weights; nothing is downloaded.

    name: a key of TIMM_BACKBONES, such as "resnest101" or "se_resnext101".
    last_stride: stride of layer4; 1 keeps a map twice as fine at the same size of weights. There is no dilation (timm's
        output_stride=16 would dilate layer4). 2 is the papers'.
    width: factor on all channels, > 0; layer1's 64 are rounded to a multiple of 8 and the others keep their ratio to
        them. The hidden layers of both attentions do not scale below timm's smallest (32 in ResNeSt, 8 in SE).
    Raises ValueError for another name, stride or width.
    """
    if name not in TIMM_BACKBONES:
        raise ValueError(f"backbone: {name!r} is none of {', '.join(TIMM_BACKBONES)}")
    if last_stride not in (1, 2):
        raise ValueError(f"last_stride: want 1 or 2, got {last_stride!r}")
    if not 0 < width < math.inf:
        raise ValueError(f"width: want a factor > 0, got {width!r}")
    kind, depth = TIMM_BACKBONES[name]
    base = scaled_channels(64, width)
    if kind == "resnest":
        stem_width = scaled_channels(32 if depth <= 50 else 64, width)    # the paper's larger networks have a wider one
        stem, stem_channels, block = deep_stem(stem_width), 2 * stem_width, resnest_block
    else:
        stem, stem_channels, block = plain_stem(base), base, se_resnext_block
    return TimmBackbone(stem, stem_channels, block, DEPTHS[depth], base=base, last_stride=last_stride)
