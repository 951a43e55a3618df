"""The number that the kernels of this world are compiled for: see reidlib.data.worlds.kernels.fingerprint."""

from reidlib.data.worlds.kernels import fingerprint

FINGERPRINT = fingerprint("layout", "kernels", "solids", "body", "surface", "film", "court", "stands", "glyphs",
                          *(f"crosswalk/{module}" for module in ("layout", "clothing", "fabric", "ground", "photo")))
