"""Losses: plain functions of features or logits (B, ...) and labels (B,), one per file."""

from reidlib.losses.cross_entropy import cross_entropy
from reidlib.losses.triplet import triplet_loss

__all__ = ["cross_entropy", "triplet_loss"]
