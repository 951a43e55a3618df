"""From the frames of a clip to one feature: temporal average pooling, intra-clip aggregation, temporal attention.

Shapes: B clips in a batch, T frames in a clip, N frames, C channels of a backbone's map, h and w its height and width.
Each aggregation has two steps. `frames` keeps of every map (N, C, h, w) a vector (N, frame_dim), of each frame by
itself, so that a long tracklet can pass in pieces. The call takes the vectors of clips, (B, T, frame_dim), to a
ClipFeature.
Sources: report `ica`, Section 2.2; Gao and Nevatia, Revisiting Temporal Modeling for Video-based Person ReID (2018),
and their code; report `attention` and its code.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, relu

from reidlib.models.necks import bn_neck
from reidlib.models.pooling import AveragePooling

GENERATORS = ("softmax", "sigmoid")


class ClipFeature(NamedTuple):
    """A clip's feature (B, C) before and after the neck or projection; attention's scores and weights (B, T), or None.

    scores are >= 0. weights are >= 0 and sum to 1 over a clip's frames.
    """

    before: Tensor
    after: Tensor
    scores: Tensor | None = None
    weights: Tensor | None = None


def float32_at_least(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class TemporalAveragePooling(nn.Module):
    """TAP: the mean over frames and map, then a BNNeck or nothing. frame_dim is C.

    Source: report `ica`, Eq. 3; its Model 1 is the one without a neck.
    """

    def __init__(self, channels: int, *, neck: bool):
        super().__init__()
        self.frame_dim = channels
        self.frames = AveragePooling()
        self.neck = bn_neck(channels) if neck else nn.Identity()

    def forward(self, frames: Tensor) -> ClipFeature:
        mean = frames.mean(dim=1)                                              # (B, C)
        return ClipFeature(mean, self.neck(mean))


class IntraClipAggregation(nn.Module):
    """ICA: the mean Z over frames and map, then the bottleneck G = BN(FC(ReLU(BN(FC(Z))))). frame_dim is C.

    hidden: channels between the two fully connected layers. They have no bias, which the batch normalisation would
        undo. What G gives has as many channels as Z.
    per_frame: G sees every frame and their mean is taken afterwards.
    residual: the feature is Z plus what G gives.
    Without per_frame, G sees nothing but the mean of a clip: the order of the frames, or any change that keeps their
    mean, changes nothing.
    Source: report `ica`, Eq. 3 and 4.
    """

    def __init__(self, channels: int, *, hidden: int, per_frame: bool, residual: bool):
        super().__init__()
        self.frame_dim = channels
        self.per_frame = per_frame
        self.residual = residual
        self.frames = AveragePooling()
        self.squeeze = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True),
        )
        self.expand = nn.Linear(hidden, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, frames: Tensor) -> ClipFeature:
        mean = frames.mean(dim=1)                                              # (B, C)
        if self.per_frame:
            projected = self._project(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).mean(dim=1)
        else:
            projected = self._project(mean)
        return ClipFeature(mean, mean + projected if self.residual else projected)

    def _project(self, x: Tensor) -> Tensor:
        """G: (N, C) -> (N, C), in float32 at least, also under autocast."""
        return self.norm(float32_at_least(self.expand(self.squeeze(x))))


class TemporalAttention(nn.Module):
    """Frames weighted by what the network sees in them and in their neighbours, then a BNNeck or nothing.

    A convolution as large as the map gives `hidden` numbers a frame, a convolution over three frames makes them one
    score, each with a ReLU behind it. frame_dim is C + hidden: the mean of the map and those numbers.
    map_size: (h, w) of the maps it will see.
    generator: "softmax" over the frames, or "sigmoid" divided by its sum over them. Scores are never negative, so the
        sigmoid gives no frame more than twice the weight of another.
    Where all scores of a clip are 0 its weights are equal, as in TAP, and no gradient reaches the convolutions. About
    half of all scores are 0 at the start, and some starts have no other: such a model may stay TAP. Nothing in the
    sources keeps it from that, so watch the share of zeros.
    Both start as He et al. (2015), fan-in, with biases of 0, as in report `attention`'s code; Gao and Nevatia have
    torch's own, smaller start.
    Source: Gao and Nevatia (2018), their "temporal attention", and their code for what the text leaves open.
    """

    def __init__(self, channels: int, *, map_size: tuple[int, int], hidden: int, generator: str, neck: bool):
        super().__init__()
        if generator not in GENERATORS:
            raise ValueError(f"generator: want one of {', '.join(GENERATORS)}, got {generator!r}")
        self.frame_dim = channels + hidden
        self.generator = generator
        self.pool = AveragePooling()
        self.spatial = nn.Conv2d(channels, hidden, map_size)
        self.temporal = nn.Conv1d(hidden, 1, 3, padding=1)
        for layer in (self.spatial, self.temporal):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.neck = bn_neck(channels) if neck else nn.Identity()

    def frames(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C + hidden). Raises ValueError for maps of another size."""
        if tuple(maps.shape[2:]) != self.spatial.kernel_size:
            raise ValueError("images: temporal attention wants the image_size it was made for, whose map is "
                             f"{self.spatial.kernel_size}, got a map of {tuple(maps.shape[2:])}")
        return torch.cat((self.pool(maps), relu(self.spatial(maps)).flatten(1)), dim=1)

    def forward(self, frames: Tensor) -> ClipFeature:
        hidden = self.spatial.out_channels
        pooled, seen = frames.split([self.frame_dim - hidden, hidden], dim=2)
        scores = float32_at_least(relu(self.temporal(seen.transpose(1, 2)))[:, 0])     # (B, T)
        # A softmax of logarithms divides by the sum.
        weights = (scores if self.generator == "softmax" else logsigmoid(scores)).softmax(dim=1)
        mean = (weights[:, :, None] * pooled).sum(dim=1)                       # (B, C)
        return ClipFeature(mean, self.neck(mean), scores, weights)
