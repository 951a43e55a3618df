"""Tables of whole numbers in MATLAB files: the splits and tracklets of the video data sets.

Only numbers are taken, and nothing is unpickled. MATLAB writes an index as a double as often as an integer; both are
read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat


def read_integers(path: Path, variable: str, shape: tuple[int | None, int | None], remedy: str) -> np.ndarray:
    """A matrix of whole numbers, int64, from a MATLAB file of version 4 to 7.

    path: the file. variable: the matrix's name in it. shape: (rows, columns), None where any number from 1 on will do;
    where it asks for one row, a column is read as one. remedy: what to do about a file that is missing or broken, for
    the message, for example "unpack the archive again".
    Raises ValueError, naming the file, when it is missing or unreadable, when it is of version 7.3 (HDF5), when the
    variable is missing or of another shape, and when it holds anything but whole numbers.
    """
    if not path.is_file():
        raise ValueError(f"root: there is no file {path}; {remedy}")
    try:
        with path.open("rb") as file:
            found = loadmat(file, variable_names=[variable]).get(variable)
    except NotImplementedError as error:
        raise ValueError(
            f"root: {path} is of MATLAB 7.3, which is not read; save it with -v7 in MATLAB, or {remedy}"
        ) from error
    except Exception as error:  # a damaged file fails as OSError, IndexError, zlib.error, MatReadError and others
        raise ValueError(f"root: {path} cannot be read as a MATLAB file ({error}); {remedy}") from error
    if found is None:
        raise ValueError(f"root: {path} has no variable {variable}; {remedy}")
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iuf":
        kind = getattr(found, "dtype", type(found).__name__)
        raise ValueError(f"root: {path} has a {variable} of {kind}, not of whole numbers; {remedy}")
    if shape[0] == 1 and found.ndim == 2 and found.shape[1] == 1:
        found = found.T
    if found.ndim != 2 or any(n != (wanted or max(n, 1)) for n, wanted in zip(found.shape, shape, strict=True)):
        wants = " by ".join("any number" if wanted is None else str(wanted) for wanted in shape)
        has = " by ".join(map(str, found.shape))
        raise ValueError(f"root: {path} has a {variable} of {has}, not of {wants}; {remedy}")
    if not (np.isfinite(found) & (found == np.round(found)) & (np.abs(found) < 2**53)).all():
        raise ValueError(f"root: {path} has a {variable} with other than whole numbers; {remedy}")
    return found.astype(np.int64)
