"""The plain embedding model: a backbone, one head. For a first result on one's own images.

Source: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification (CVPRW 2019).
"""

from torch import Tensor, nn

from reidlib.models.freezing import hold_frozen
from reidlib.models.necks import Head, Heads
from reidlib.models.resnet import check_images, resnet


class Baseline(nn.Module):
    """Images (B, 3, H, W) -> in training Heads of one entry each, in evaluation the test feature (B, feature_dim).

    num_classes: persons to tell apart in training, >= 1. The default is for features only: training with more than
        one label fails at the first loss.
    backbone: a name for reidlib.models.resnet.resnet (last stride 1); width: factor on its channels.
    pooling: "average" (Bag of Tricks) or "gem".
    metric_feature: the triplet loss sees the feature "before" the BNNeck (Bag of Tricks) or "after" it.
    classifier_std: spread of the starting classifier weights; 0.001 in Bag of Tricks' code.
    feature_dim is the number of channels of the backbone's map; the test feature is the one after the BNNeck.

    Raises ValueError for an option or images it cannot take.
    """

    def __init__(self, *, num_classes: int = 1, backbone: str = "resnet50", width: float = 1.0,
                 pooling: str = "average", metric_feature: str = "before", classifier_std: float = 0.001):
        super().__init__()
        self.backbone = resnet(backbone, last_stride=1, width=width)
        self.feature_dim = self.backbone.channels
        self.head = Head(self.feature_dim, num_classes, pooling=pooling, metric_feature=metric_feature,
                         classifier_std=classifier_std)
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
