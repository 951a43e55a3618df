"""The embedding model for clips: a backbone that sees every frame, a temporal aggregation, one classifier.

Shapes: B clips in a batch, T frames in a clip, N frames, H and W height and width of a frame.
Sources: report `ica`, Section 2.2; report `attention`, Methodology, and its code.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from reidlib.models.baseline import make_backbone
from reidlib.models.freezing import hold_frozen
from reidlib.models.necks import Heads, classifier
from reidlib.models.resnet import SMALLEST_IMAGE, check_images, scaled_channels
from reidlib.models.temporal import IntraClipAggregation, TemporalAttention, TemporalAveragePooling

TEMPORAL = ("tap", "ica", "attention")


class ClipHeads(NamedTuple):
    """What a model with temporal attention returns in training: Heads, and what it thought of each frame.

    logits, metric_features: as in Heads, one of each, (B, classes) and (B, feature_dim).
    scores: (B, T) >= 0, after the ReLU and before the softmax or sigmoid: report `attention`'s code takes its attention
        loss from them.
    weights: (B, T) >= 0 with sum 1, those with which the frames were averaged.
    class_vectors: (classes, feature_dim), the classifier's weights.
    """

    logits: list[Tensor]
    metric_features: list[Tensor]
    scores: Tensor
    weights: Tensor
    class_vectors: Tensor


class Video(nn.Module):
    """Clips (B, T, 3, H, W) -> in training Heads or ClipHeads, in evaluation the test feature (B, feature_dim).

    num_classes: persons to tell apart in training, >= 1. The default is for features only.
    backbone: "alexnet", "inception_v3" or a name for reidlib.models.baseline.make_backbone.
    last_stride: of the backbone; 1 in report `attention`, not stated in report `ica`, where 2 is assumed.
    width: factor on the backbone's channels and on the hidden ones of ICA and attention.
    temporal: how T frames become one feature f (see reidlib.models.temporal).
        "tap": their mean. Without a neck this is report `ica`'s baseline (Model 1).
        "ica": report `ica`'s module; f is their mean Z, and its projection Y is what a neck would give.
        "attention": Gao and Nevatia's weighted sum, the base of report `attention`.
    neck: a BNNeck after f: in report `attention`, and with "tap" the control that tells what of ICA is its batch
        normalisation. "ica" has its own and takes False only.
    metric_feature: the metric losses see the feature "before" or "after" the neck or ICA's projection. Report
        `attention`'s code and our reading of report `ica` have "after"; Luo et al.'s BNNeck would have "before".
        Without either they are the same.
    hidden, per_frame, residual: of "ica", whose figure with the details is all that the report gives. Our reading of
        Eq. 3 and 4 is 512 channels at full width, a projection of the clip's mean, and no residual. per_frame projects
        every frame and then takes the mean, the order of the report's introduction ("a learnable block followed by a
        temporal average pooling layer"). residual adds Z to the projection, which the report neither says nor excludes.
    generator: of "attention", "softmax" (the reports' default) or "sigmoid".
    image_size: (H, W) of the frames. Attention's first convolution is as large as the map of such a frame, 7×4 for the
        papers' 224×112 with last stride 2 and 14×7 with 1: it takes this size only. The others take any.
    feature_dim is the number of channels of the backbone's map; the test feature is the one after the neck or ICA's
    projection. frame_dim is what is kept of a frame.

    The classifier has no bias and starts from N(0, 0.001) behind a neck or ICA (report `attention`'s code; report `ica`
    does not say), else it is torch's linear layer, with bias (Gao and Nevatia's code).

    A long tracklet in bounded memory: `frames` for a few images at a time, then `clips` for all that they gave.

    Raises ValueError for an option or clips it cannot take.
    """

    def __init__(self, *, num_classes: int = 1, backbone: str = "resnet50", width: float = 1.0, last_stride: int = 2,
                 temporal: str = "tap", neck: bool = False, metric_feature: str = "after", hidden: int = 512,
                 per_frame: bool = False, residual: bool = False, generator: str = "softmax",
                 image_size: tuple[int, int] = (224, 112)):
        super().__init__()
        if temporal not in TEMPORAL:
            raise ValueError(f"temporal: want one of {', '.join(TEMPORAL)}, got {temporal!r}")
        if metric_feature not in ("after", "before"):
            raise ValueError(f"metric_feature: want 'after' or 'before', got {metric_feature!r}")
        if temporal == "ica" and neck:
            raise ValueError("neck: temporal 'ica' has its own batch normalisation, want False, got True")
        if temporal != "ica" and (hidden, per_frame, residual) != (512, False, False):
            raise ValueError(f"hidden, per_frame, residual: temporal 'ica' alone has them, got temporal {temporal!r}")
        if temporal != "attention" and generator != "softmax":
            raise ValueError(f"generator: temporal 'attention' alone has one, got temporal {temporal!r}")
        if not isinstance(hidden, int) or hidden < 1:
            raise ValueError(f"hidden: want an int >= 1, got {hidden!r}")
        self.metric_feature = metric_feature
        self.backbone = _backbone(backbone, last_stride, width)
        self.feature_dim = channels = self.backbone.channels
        if temporal == "tap":
            self.aggregate = TemporalAveragePooling(channels, neck=neck)
        elif temporal == "ica":
            self.aggregate = IntraClipAggregation(channels, hidden=scaled_channels(hidden, width), per_frame=per_frame,
                                                  residual=residual)
        else:
            self.aggregate = TemporalAttention(channels, map_size=_map_size(self.backbone, image_size), neck=neck,
                                               hidden=scaled_channels(256, width), generator=generator)
        self.frame_dim = self.aggregate.frame_dim
        self.classify = classifier(channels, num_classes, 0.001)
        if temporal != "ica" and not neck:
            self.classify = nn.Linear(channels, num_classes)
        self.frozen = False

    def forward(self, clips: Tensor) -> Heads | ClipHeads | Tensor:
        check_clips(clips, training=self.training)
        frames = self.frames(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])        # (B, T, frame_dim)
        if not self.training:
            return self.clips(frames)
        clip = self.aggregate(frames)
        heads = Heads([self.classify(clip.after)], [getattr(clip, self.metric_feature)])
        if clip.scores is None:
            return heads
        return ClipHeads(*heads, scores=clip.scores, weights=clip.weights, class_vectors=self.classify.weight)

    def frames(self, images: Tensor) -> Tensor:
        """What is kept of each frame by itself: (N, 3, H, W) -> (N, frame_dim)."""
        return self.aggregate.frames(self.backbone(check_images(images, training=False)))

    def clips(self, frames: Tensor) -> Tensor:
        """The test feature of clips whose frames went through `frames`: (B, T, frame_dim) -> (B, feature_dim).

        For eval() mode. Raises ValueError for another shape.
        """
        if frames.ndim != 3 or frames.shape[1] < 1 or frames.shape[2] != self.frame_dim:
            raise ValueError(f"frames: want (B, T, {self.frame_dim}) with T >= 1, got {tuple(frames.shape)}")
        return self.aggregate(frames).after

    def freezable(self) -> list[nn.Module]:
        """All but aggregation and classifier. See reidlib.models.set_frozen."""
        return [self.backbone]

    def train(self, mode: bool = True) -> "Video":
        super().train(mode)
        return hold_frozen(self)


def check_clips(clips: Tensor, *, training: bool) -> None:
    """Raises a ValueError that says what a model wants, when it cannot take these clips."""
    height, width = SMALLEST_IMAGE
    if (clips.ndim != 5 or clips.shape[1] < 1 or clips.shape[2] != 3 or clips.shape[3] < height
            or clips.shape[4] < width):
        raise ValueError(f"clips: want (B, T, 3, H, W) with T >= 1, H >= {height} and W >= {width}, "
                         f"got {tuple(clips.shape)}")
    if len(clips) < (2 if training else 1):
        raise ValueError(f"clips: want at least {2 if training else 1} in a batch"
                         f"{' to train (batch normalisation)' if training else ''}, got {len(clips)}")


def _backbone(name: str, last_stride: int, width: float) -> nn.Module:
    if name in ("alexnet", "inception_v3"):
        from reidlib.models.torchvision_backbones import torchvision_backbone  # here: seconds to import

        return torchvision_backbone(name, last_stride=last_stride, width=width)
    return make_backbone(name, last_stride=last_stride, width=width)


@torch.no_grad()
def _map_size(backbone: nn.Module, image_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the backbone's map of such an image."""
    maps = backbone.eval()(check_images(torch.zeros(1, 3, *image_size), training=False))
    backbone.train()
    return tuple(maps.shape[2:])
