"""Report `along`'s nine ensemble backbones (Section 3.3) at full width: a training step at both of its input sizes."""

import pytest
import torch

from reidlib.losses import circle_logits, cross_entropy, triplet_loss
from reidlib.models import Baseline
from reidlib.models.timm_backbones import TimmBackbone

BACKBONES = [kind + depth for kind in ("resnet", "resnest", "se_resnext") for depth in ("101", "152", "200")]
SIZES = [(384, 128), (384, 192)]


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_full_width_takes_a_training_step(backbone, height, width):
    torch.manual_seed(0)
    model = Baseline(num_classes=436, backbone=backbone, pooling="gem", cosine=True, dropout=0.2).train()
    if isinstance(model.backbone, TimmBackbone):
        # Each of these blocks starts as its shortcut, with no gradient inside: opened, one step reaches everything.
        for name, p in model.named_parameters():
            if name.endswith("bn3.weight"):
                torch.nn.init.constant_(p, 0.2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}

    labels = torch.tensor([7, 7, 435, 435])
    heads = model(torch.randn(4, 3, height, width))
    loss = cross_entropy(circle_logits(heads.logits[0], labels, margin=0.3), labels) \
        + triplet_loss(heads.metric_features[0], labels, margin=0.4)
    loss.backward()
    optimizer.step()

    assert loss.isfinite()
    for name, p in model.named_parameters():
        if name == "head.neck.bias":
            continue
        assert p.grad.isfinite().all() and p.isfinite().all(), name
        if not name.endswith(".conv2.fc1.bias"):    # ResNeSt normalises it away: its gradient is rounding
            assert p.grad.any() and not torch.equal(p, before[name]), name
