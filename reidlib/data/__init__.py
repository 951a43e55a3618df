"""Data: worlds, real data sets and one's own images, all as a table and uint8 tensors."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reidlib.data.courtside import open_courtside
from reidlib.data.crosswalk import open_crosswalk
from reidlib.data.dataset import Dataset
from reidlib.data.folder import open_folder
from reidlib.data.ilidsvid import open_ilidsvid
from reidlib.data.images import load_images
from reidlib.data.market1501 import open_market1501
from reidlib.data.mars import open_mars
from reidlib.data.paths import data_home
from reidlib.data.prid2011 import open_prid2011
from reidlib.data.synergyreid import open_synergyreid

__all__ = ["Dataset", "data_home", "load_images", "open_dataset"]

_OPENERS = {
    "courtside": open_courtside,
    "crosswalk": open_crosswalk,
    "folder": open_folder,
    "ilidsvid": open_ilidsvid,
    "market1501": open_market1501,
    "mars": open_mars,
    "prid2011": open_prid2011,
    "synergyreid": open_synergyreid,
}


def open_dataset(name: str, root: str | Path | None = None, **options: Any) -> Dataset:
    """Opens a data set by its name.

    "courtside"    a rendered world. root: its folder; None: worlds/ in data_home(), where it is rendered if it is not
                   there yet. Option spec: a CourtsideSpec.
    "crosswalk"    another rendered world, in the layout of Market-1501, MARS, iLIDS-VID or PRID 2011. root: as above.
                   Options spec: a CrosswalkSpec; split: 0 to 9, for the last two.
    "synergyreid"  the real data. root: the folder that holds data_reid/; None: data/synergyreid in data_home().
    "market1501"   the real data. root: the folder that holds bounding_box_train/, query/ and bounding_box_test/; None:
                   data/market1501 in data_home().
    "mars"         the real data, tracklets. root: the folder that holds bbox_train/, bbox_test/ and info/; None:
                   data/mars in data_home().
    "ilidsvid"     the real data, tracklets. root: the folder that holds i-LIDS-VID/ and its splits; None: data/ilidsvid
                   in data_home(). Option split: 0 to 9, which of the published splits.
    "prid2011"     the real data, tracklets. root: the folder that holds prid_2011/ and a file of splits; None:
                   data/prid2011 in data_home(). Option split: 0 to 9, which of the published splits.
    "folder"       one's own images. root: the folder that holds train/ and test/ (or query/ and gallery/).
                   Options pattern and allow_single: see reidlib.data.folder.open_folder.

    Raises ValueError for a name or an option that is not known, and as the opener itself does.
    """
    if name not in _OPENERS:
        raise ValueError(f"name: no data set {name!r}{_did_you_mean(name, _OPENERS)}; there are {', '.join(_OPENERS)}")
    opener = _OPENERS[name]
    known = [option for option in inspect.signature(opener).parameters if option != "root"]
    for option in options:
        if option not in known:
            wants = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ValueError(f"options: {name} has no option {option!r}{_did_you_mean(option, known)}; {wants}")
    return opener(None if root is None else Path(root).expanduser().absolute(), **options)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
