"""The plain embedding model: a backbone, one head. For a first result on one's own images.

Source: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification (CVPRW 2019).
"""

from torch import Tensor, nn

from reidlib.models.freezing import hold_frozen
from reidlib.models.necks import Head, Heads
from reidlib.models.osnet import osnet
from reidlib.models.resnet import check_images, resnet


def make_backbone(name: str, *, last_stride: int = 1, width: float = 1.0) -> nn.Module:
    """A network from images (B, 3, H, W) to a map (B, `channels`, H/16, W/16), starting from random weights.

    name: "resnest..." and "se_resnext..." are reidlib.models.timm_backbones.timm_backbone's, "osnet..." are
        reidlib.models.osnet.osnet's (last stride 1 only; "osnet_fc" gives a map of one pixel), all others
        reidlib.models.resnet.resnet's. last_stride and width: see there.
    Raises ValueError for a name, stride or width it cannot take.
    """
    if name.startswith(("resnest", "se_resnext")):
        from reidlib.models.timm_backbones import timm_backbone  # here: timm takes seconds to import

        return timm_backbone(name, last_stride=last_stride, width=width)
    if name.startswith("osnet"):
        if last_stride != 1:
            raise ValueError(f"last_stride: OSNet has none to choose, want 1, got {last_stride!r}")
        return osnet(name, width=width)
    return resnet(name, last_stride=last_stride, width=width)


class Baseline(nn.Module):
    """Images (B, 3, H, W) -> in training Heads of one entry each, in evaluation the test feature (B, feature_dim).

    num_classes: persons to tell apart in training, >= 1. The default is for features only: training with more than
        one label fails at the first loss.
    backbone: a name for make_backbone (last stride 1); width: factor on its channels.
    pooling: "average" (Bag of Tricks) or "gem".
    metric_feature: the triplet loss sees the feature "before" the BNNeck (Bag of Tricks) or "after" it.
    classifier_std: spread of the starting classifier weights; 0.001 in Bag of Tricks' code; None: He et al.'s.
    dropout: chance in [0, 1) of each entry of the classifier's input to be 0 in training; 0.2 in report `along`.
    cosine: logits are cosines, in float32 at least, for the class form of the circle loss. See Head.
    feature_dim is the number of channels of the backbone's map; the test feature is the one after the BNNeck.

    Raises ValueError for an option or images it cannot take.
    """

    def __init__(self, *, num_classes: int = 1, backbone: str = "resnet50", width: float = 1.0,
                 pooling: str = "average", metric_feature: str = "before", classifier_std: float | None = 0.001,
                 dropout: float = 0.0, cosine: bool = False):
        super().__init__()
        self.backbone = make_backbone(backbone, last_stride=1, width=width)
        self.feature_dim = self.backbone.channels
        self.head = Head(self.feature_dim, num_classes, pooling=pooling, metric_feature=metric_feature,
                         classifier_std=classifier_std, dropout=dropout, cosine=cosine)
        self.frozen = False

    def forward(self, images: Tensor) -> Heads | Tensor:
        output = self.head(self.backbone(check_images(images, training=self.training)))
        return Heads([output.logits], [output.metric]) if self.training else output.feature

    def freezable(self) -> list[nn.Module]:
        """All but the head. See reidlib.models.set_frozen."""
        return [self.backbone]

    def train(self, mode: bool = True) -> "Baseline":
        super().train(mode)
        return hold_frozen(self)
