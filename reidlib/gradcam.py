"""Grad-CAM: which places of a frame a clip's feature is what it is for.

Shapes: B clips, T frames in a clip, C channels of a layer's map, h and w its height and width, D feature.
Source: Selvaraju et al., Grad-CAM (ICCV 2017), Eq. 1 and 2. Report `ica`, Figure 1, does not say of which score the
gradient is: a test clip has no class, so here it is the cosine of the clip's feature to a feature that is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, relu

STAGES = ("layer4", "layer3", "layer2", "layer1")  # of the ResNets of reidlib.models, the last one first


def grad_cam(model: nn.Module, clips: Tensor, towards: Tensor, layer: nn.Module) -> Tensor:
    """The maps of a video model's layer, weighted by the gradient of a cosine, in evaluation mode.

    clips: (B, T, 3, H, W), normalised. towards: (B, D), the features to which the cosine is taken.
    layer: of the model's backbone, whose output is (B T, C, h, w).
    Returns (B, T, h, w) >= 0: the ReLU of the sum over channels, each weighted by its gradient's mean over the map.
    Raises ValueError for towards of another shape.
    """
    if towards.shape != (len(clips), model.feature_dim):
        raise ValueError(f"towards: wants ({len(clips)}, {model.feature_dim}), got {tuple(towards.shape)}")
    model.eval()
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        with torch.enable_grad():
            cosine = cosine_similarity(model(clips), towards, dim=1)
            (gradient,) = torch.autograd.grad(cosine.sum(), seen[0])  # (B T, C, h, w); clips do not mix in evaluation
    finally:
        hook.remove()
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return relu((weights * seen[0]).sum(dim=1)).detach().unflatten(0, clips.shape[:2])


def cam_layer(backbone: nn.Module, height: int, width: int, cells: tuple[int, int] = (8, 4)) -> tuple[str, nn.Module]:
    """The last stage of a ResNet whose map of such an image has so many cells or more, and its name.

    cells: the report's 256×128 images have 8×4 in layer4. Smaller images have 2×1 there, which shows nothing.
    Raises ValueError when no stage has.
    """
    sizes: dict[str, tuple[int, int]] = {}
    layers = [(name, getattr(backbone, name)) for name in STAGES]
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output, name=name: sizes.update({name: output.shape[2:]}))
        for name, layer in layers
    ]
    device = next(backbone.parameters()).device
    was_training = backbone.training
    with torch.no_grad():
        backbone.eval()(torch.zeros(1, 3, height, width, device=device))
    backbone.train(was_training)
    for hook in hooks:
        hook.remove()
    for name, layer in layers:
        if sizes[name][0] >= cells[0] and sizes[name][1] >= cells[1]:
            return name, layer
    raise ValueError(f"cells: no stage has a map of {cells[0]}×{cells[1]} or more; the images are {height}×{width}")


def entropy(maps: Tensor) -> Tensor:
    """How widely a map is spread: the entropy in bits of its cells' shares, 0 .. log2(h w). A map of zeros has NaN.

    maps: (..., h, w) >= 0. Returns (...). A map on one cell has 0, an even one log2(h w).
    """
    share = maps.flatten(-2)
    share = share / share.sum(dim=-1, keepdim=True)  # 0 / 0 is NaN
    return -torch.special.xlogy(share, share).sum(dim=-1) / math.log(2)


def consistency(maps: Tensor) -> Tensor:
    """How much the maps of a clip's frames agree: the mean cosine over all pairs of frames, 0 .. 1.

    maps: (..., T, h, w) >= 0, T >= 2. Returns (...); NaN where a frame's map is zero.
    """
    frames = maps.flatten(-2)
    frames = frames / frames.norm(dim=-1, keepdim=True)
    first, second = torch.triu_indices(frames.shape[-2], frames.shape[-2], 1)
    return (frames[..., first, :] * frames[..., second, :]).sum(dim=-1).mean(dim=-1)
