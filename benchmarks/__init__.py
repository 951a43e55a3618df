"""Measurements behind the book's page on speed and memory; `python -m benchmarks.run` makes all of them anew."""
