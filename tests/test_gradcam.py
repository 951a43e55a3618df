"""Grad-CAM against captum, and its numbers on maps made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from reidlib import gradcam, models


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = models.build("video", num_classes=3, backbone="resnet18", width=0.125, temporal="ica")
    with torch.no_grad():  # batch norms as a trained model has them: not the identity
        for module in made.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 2.0)
    return made.eval()


@pytest.mark.parametrize("stage", ["layer2", "layer4"])
def test_maps_are_captums(model, stage):
    """captum sees the frames folded into one batch, so it is asked for one clip at a time."""
    attr = pytest.importorskip("captum.attr")
    torch.manual_seed(1)
    clips, towards = torch.randn(2, 4, 3, 64, 32), torch.randn(2, model.feature_dim)
    layer = getattr(model.backbone, stage)
    found = gradcam.grad_cam(model, clips, towards, layer)
    for clip, target, ours in zip(clips, towards, found, strict=True):

        def score(frames, target=target):
            return cosine_similarity(model(frames[None]), target[None], dim=1)

        theirs = attr.LayerGradCam(score, layer).attribute(clip, relu_attributions=True)  # (T, 1, h, w)
        torch.testing.assert_close(ours, theirs[:, 0].detach())
    assert found.shape[:2] == (2, 4) and (found > 0).any()


def test_nothing_is_left_behind(model):
    before = {name: parameter.clone() for name, parameter in model.state_dict().items()}
    clips, towards = torch.randn(1, 2, 3, 64, 32), torch.randn(1, model.feature_dim)
    gradcam.grad_cam(model, clips, towards, model.backbone.layer3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not model.backbone.layer3._forward_hooks and all(p.grad is None for p in model.parameters())
    with pytest.raises(ValueError, match=r"towards: wants \(1, 64\), got \(2, 64\)"):
        gradcam.grad_cam(model, clips, towards.repeat(2, 1), model.backbone.layer3)


def test_the_layer_has_the_reports_number_of_cells(model):
    found = {size: gradcam.cam_layer(model.backbone, *size)[0] for size in ((256, 128), (128, 64), (64, 32))}
    assert list(found.values()) == ["layer4", "layer3", "layer2"]
    with pytest.raises(ValueError, match="cells: no stage has a map of 99×4 or more; the images are 64×32"):
        gradcam.cam_layer(model.backbone, 64, 32, (99, 4))


def test_entropy_and_consistency_by_hand():
    one, even, none = torch.zeros(2, 4), torch.ones(2, 4), torch.zeros(2, 4)
    one[1, 2] = 7.0
    assert gradcam.entropy(torch.stack((one, even))).tolist() == pytest.approx([0.0, 3.0])
    assert math.isnan(gradcam.entropy(none))
    other = torch.zeros(2, 4)
    other[0, 0] = 2.0
    assert gradcam.consistency(torch.stack((one, 3 * one, one))) == pytest.approx(1.0)
    assert gradcam.consistency(torch.stack((one, one, other))) == pytest.approx(1 / 3)
    assert math.isnan(gradcam.consistency(torch.stack((one, none))))
