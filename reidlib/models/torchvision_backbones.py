"""AlexNet and Inception-v3 as torchvision has them: no classifier, random starting weights.

Shapes: B batch, C channels, H and W height and width of the image.
Report `ica` (Table 2) compares both with ResNet-50.
Sources: Krizhevsky, One Weird Trick for Parallelizing Convolutional Neural Networks (2014), for torchvision's AlexNet;
Szegedy et al., Rethinking the Inception Architecture (CVPR 2016).
"""

import math
from functools import partial

from torch import Tensor, nn
from torchvision.models import inception

from reidlib.models.resnet import scaled_channels


class TorchvisionBackbone(nn.Module):
    """Images (B, 3, H, W) -> feature map (B, `channels`, about H/32, about W/32).

    smallest: the least height and width that leave a map. Raises ValueError for smaller images.
    """

    def __init__(self, features: nn.Sequential, *, channels: int, smallest: int):
        super().__init__()
        self.features = features
        self.channels = channels
        self.smallest = smallest

    def forward(self, images: Tensor) -> Tensor:
        if min(images.shape[2:]) < self.smallest:
            raise ValueError(f"images: this backbone wants H >= {self.smallest} and W >= {self.smallest}, "
                             f"got {tuple(images.shape)}")
        return self.features(images)


def alexnet(*, width: float) -> TorchvisionBackbone:
    """AlexNet's five convolutions and three poolings; 256×128 images give a map of 7×3.

    It has no batch normalisation to mend the scale: weights start as He et al. (2015), fan-in, and biases at 0.
    """
    c1, c2, c3, c4 = (scaled_channels(channels, width) for channels in (64, 192, 384, 256))
    features = nn.Sequential(
        nn.Conv2d(3, c1, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
        nn.Conv2d(c1, c2, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
        nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(c4, c4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
    )
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return TorchvisionBackbone(features, channels=c4, smallest=63)


def inception_v3(*, width: float) -> TorchvisionBackbone:
    """Inception-v3 up to its last block, without the auxiliary classifier; 256×128 images give a map of 6×2.

    Its blocks join branches, so every number of channels has to scale exactly: all are multiples of 16, and so
    width has to be a multiple of 1/16.
    """
    if 16 * width % 1:
        raise ValueError(f"width: inception_v3 wants a multiple of 1/16, got {width!r}")

    def convolution(in_channels: int, out_channels: int, **options) -> nn.Module:
        ins = in_channels if in_channels == 3 else int(in_channels * width)
        return inception.BasicConv2d(ins, int(out_channels * width), **options)

    kinds = (inception.InceptionA, inception.InceptionB, inception.InceptionC, inception.InceptionD,
             inception.InceptionE, inception.InceptionAux)
    network = inception.Inception3(
        num_classes=1, aux_logits=False, init_weights=True,
        inception_blocks=[convolution, *(partial(kind, conv_block=convolution) for kind in kinds)],
    )
    features = nn.Sequential()
    for name, module in network.named_children():
        features.add_module(name, module)
        if name == "Mixed_7c":                                                 # pooling and classifier follow
            break
    return TorchvisionBackbone(features, channels=int(2048 * width), smallest=75)


TORCHVISION_BACKBONES = {"alexnet": alexnet, "inception_v3": inception_v3}


def torchvision_backbone(name: str, *, last_stride: int = 2, width: float = 1.0) -> TorchvisionBackbone:
    """A backbone by its name, starting from random weights; nothing is downloaded.

    name: "alexnet" or "inception_v3". last_stride: 2, as both are.
    width: factor on all channels, > 0; alexnet rounds them to multiples of 8, inception_v3 wants a multiple of 1/16.
    Raises ValueError for another name, stride or width.
    """
    if name not in TORCHVISION_BACKBONES:
        raise ValueError(f"backbone: {name!r} is none of {', '.join(TORCHVISION_BACKBONES)}")
    if last_stride != 2:
        raise ValueError(f"last_stride: {name} has none to choose, want 2, got {last_stride!r}")
    if not 0 < width < math.inf:
        raise ValueError(f"width: want a factor > 0, got {width!r}")
    return TORCHVISION_BACKBONES[name](width=width)
