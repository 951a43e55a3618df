"""torchreid, from a folder that the project does not depend on.

    pip download torchreid==0.2.5 --no-deps --no-binary :all: && tar xf torchreid-0.2.5.tar.gz

The package index has the Python parts. Its Cython evaluation is missing there: put `rank_cy.pyx` of the project's own
repository (KaiyangZhou/deep-person-reid) into torchreid/reid/metrics/rank_cylib and run the `setup.py` beside it.
Files are loaded one by one, because importing torchreid imports half of the world.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType


def torchreid(folder: str, file: str) -> ModuleType:
    """A module of the unpacked torchreid-VERSION in `folder`; file: path under torchreid/reid, or a pattern for it.

    Raises ValueError when there is none.
    """
    found = sorted(Path(folder, "torchreid", "reid").glob(file))
    if not found:
        raise ValueError(f"--torchreid: {folder} has no torchreid/reid/{file}; benchmarks/peers.py says how to get it")
    spec = importlib.util.spec_from_file_location(found[0].name.split(".")[0], found[0])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def torchreid_name(folder: str) -> str:
    """"torchreid" with its version."""
    text = Path(folder, "torchreid", "__init__.py").read_text()
    return "torchreid " + re.search(r"__version__ = ['\"]([^'\"]+)", text).group(1)
