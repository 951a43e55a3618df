"""Losses: plain functions of features, logits or scores (B, ...) and labels, one per file."""

from reidlib.losses._check import without_waiting
from reidlib.losses.attention import attention_loss
from reidlib.losses.center import center_loss
from reidlib.losses.circle import circle_logits, circle_loss, circle_softmax
from reidlib.losses.cross_entropy import cross_entropy
from reidlib.losses.osm import class_aware_attention, osm_loss
from reidlib.losses.triplet import triplet_loss

__all__ = ["attention_loss", "center_loss", "circle_logits", "circle_loss", "circle_softmax", "class_aware_attention",
           "cross_entropy", "osm_loss", "triplet_loss", "without_waiting"]
