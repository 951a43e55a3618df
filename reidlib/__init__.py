"""reidlib: person re-identification from scratch, as five reports describe it. See book/architecture.md."""

__version__ = "0.1.0"
