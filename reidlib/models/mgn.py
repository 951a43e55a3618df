"""Multiple Granularity Network: one shared trunk, one branch per granularity, many small heads.

Shapes: B batch, C channels, H and W height and width of the image, D feature of one head.
Sources: Wang et al., Learning Discriminative Features with Multiple Granularities (ACM MM 2018); report 000,
Section 2.1, for the fourth branch; FastReID for what the report's text leaves open (it was trained with it).
"""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from reidlib.models.freezing import hold_frozen
from reidlib.models.necks import Head, Heads
from reidlib.models.pooling import horizontal_stripes
from reidlib.models.resnet import check_images, resnet


class MGN(nn.Module):
    """Images (B, 3, H, W) -> in training Heads, in evaluation the test feature (B, feature_dim).

    parts: one branch per entry k >= 1; it has a head on its whole map and, when k > 1, one on each of k horizontal
        stripes. (1, 2, 3) is MGN with 8 heads, (1, 2, 3, 4) the report's with 13.
    num_classes: persons to tell apart in training, >= 1. The default is for features only: training with more than
        one label fails at the first loss.
    backbone: a name for reidlib.models.resnet.resnet; width: factor on its channels.
    part_dim: D; feature_dim is D times the number of heads (2048 with three branches, 3328 with four).
    pooling: "gem" (each head trains its own p) or "average".
    metric_feature: which feature of a head the triplet loss sees, "after" the BNNeck (FastReID's MGN) or "before"
        it (Bag of Tricks). FastReID's "before" would be the pooled map; here it is the reduced D-dimensional one.
    classifier_std: spread of the starting classifier weights; 0.01 in FastReID, 0.001 in Bag of Tricks.
    dropout, cosine: of every head's classifier, see Head; report `along`'s, for its circle loss on this network.

    Shared are the stem, layer1, layer2 and the first block of layer3; every branch starts from its own copy of the
    same remaining weights. The paper's first branch has stride 2 in layer4. The report follows Bag of Tricks' last
    stride 1, and there FastReID's configured layer4 of branch 1 and its hand-built ones of the others (stride 1,
    no IBN) are the same thing, so all branches are equal here.

    Test feature: the branches' global features first, then the stripes (b1, b2, b3, b21, b22, b31, b32, b33), each
    after its BNNeck and not scaled to unit length.
    Training: logits of all heads in that order; metric_features are the branches' global features, then for each
    branch with stripes these joined: 5 with three branches, 7 with four.

    Raises ValueError for an option or images it cannot take.
    """

    def __init__(self, parts: Sequence[int] = (1, 2, 3), *, num_classes: int = 1, backbone: str = "resnet50_ibn",
                 width: float = 1.0, part_dim: int = 256, pooling: str = "gem", metric_feature: str = "after",
                 classifier_std: float = 0.01, dropout: float = 0.0, cosine: bool = False):
        super().__init__()
        if not isinstance(parts, Sequence) or not parts or not all(isinstance(k, int) and k >= 1 for k in parts):
            raise ValueError(f"parts: want one int >= 1 per branch, such as (1, 2, 3), got {parts!r}")
        if not isinstance(part_dim, int) or part_dim < 1:
            raise ValueError(f"part_dim: want an int >= 1, got {part_dim!r}")
        self.parts = tuple(parts)
        body = resnet(backbone, last_stride=1, width=width)
        self.shared = nn.Sequential(body.stem, body.layer1, body.layer2, body.layer3[0])
        branch = nn.Sequential(body.layer3[1:], body.layer4)
        self.branches = nn.ModuleList(copy.deepcopy(branch) for _ in self.parts)

        head = partial(Head, body.channels, num_classes, dim=part_dim, pooling=pooling, metric_feature=metric_feature,
                       classifier_std=classifier_std, dropout=dropout, cosine=cosine)
        self.global_heads = nn.ModuleList(head() for _ in self.parts)
        self.stripe_heads = nn.ModuleList(nn.ModuleList(head() for _ in range(k if k > 1 else 0)) for k in self.parts)
        self.feature_dim = part_dim * (len(self.global_heads) + sum(len(heads) for heads in self.stripe_heads))
        self.frozen = False

    def forward(self, images: Tensor) -> Heads | Tensor:
        shared = self.shared(check_images(images, training=self.training))     # (B, C, H/16, W/16)
        wholes, stripes = [], []                                               # per branch: its head, its stripes'
        for k, branch, global_head, stripe_heads in zip(
            self.parts, self.branches, self.global_heads, self.stripe_heads, strict=True
        ):
            x = branch(shared)                                                 # (B, C, H/16, W/16)
            wholes.append(global_head(x))
            stripes.append([head(stripe) for head, stripe in zip(stripe_heads, horizontal_stripes(x, k), strict=False)])

        outputs = [*wholes, *(stripe for branch in stripes for stripe in branch)]
        if not self.training:
            return torch.cat([output.feature for output in outputs], dim=1)    # (B, feature_dim)
        return Heads(
            logits=[output.logits for output in outputs],
            metric_features=[output.metric for output in wholes]
            + [torch.cat([stripe.metric for stripe in branch], dim=1) for branch in stripes if branch],
        )

    def freezable(self) -> list[nn.Module]:
        """The report's "backbone and branch 1-4": all but the heads. See reidlib.models.set_frozen."""
        return [self.shared, self.branches]

    def train(self, mode: bool = True) -> "MGN":
        super().train(mode)
        return hold_frozen(self)
