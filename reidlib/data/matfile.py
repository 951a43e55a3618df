"""Tables of whole numbers in MATLAB files: the splits and tracklets of the video data sets.

Only numbers are taken, and nothing is unpickled. MATLAB writes an index as a double as often as an integer; both are
read. The few lines of the two formats that such tables need are here, because SciPy's reader trusts the file: a changed
byte can end the process (a segmentation fault, seen with SciPy 1.17.1).

Source of the formats: MathWorks, MAT-File Format (levels 4 and 5).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LARGEST = 1 << 26  # bytes, packed or not: a hundred times the tables of MARS
LEVEL_4 = ("f8", "f4", "i4", "i2", "u2", "u1")  # what the tens of its type number mean
LEVEL_5 = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MATRIX, PACKED = 14, 15
COMPLEX = 8  # in an array's flags
# An array's class: 6 to 15 are numbers.
OTHERS = {1: "cells", 2: "a structure", 3: "an object", 4: "text", 5: "a sparse matrix", 16: "a function"}
NUMBERS = range(6, 16)


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
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        data = path.read_bytes()
        if data.startswith(b"MATLAB 7.3") or data[124:126] in (b"\x00\x02", b"\x02\x00") and data[126:128] in ENDS:
            raise NotImplementedError
        found = (_read_5 if data[126:128] in ENDS else _read_4)(data, variable.encode())
    except NotImplementedError as error:
        raise ValueError(
            f"root: {path} is of MATLAB 7.3, which is not read; save it with -v7 in MATLAB, or {remedy}"
        ) from error
    except (OSError, ValueError, IndexError, zlib.error) as error:
        raise ValueError(f"root: {path} cannot be read as a MATLAB file ({error}); {remedy}") from error
    if found is None:
        raise ValueError(f"root: {path} has no variable {variable}; {remedy}")
    if isinstance(found, str):
        raise ValueError(f"root: {path} has a {variable} of {found}, not of whole numbers; {remedy}")
    if shape[0] == 1 and found.ndim == 2 and found.shape[1] == 1:
        found = found.T
    if found.ndim != 2 or any(n != (wanted or max(n, 1)) for n, wanted in zip(found.shape, shape, strict=True)):
        wants = " by ".join("any number" if wanted is None else str(wanted) for wanted in shape)
        has = " by ".join(map(str, found.shape))
        raise ValueError(f"root: {path} has a {variable} of {has}, not of {wants}; {remedy}")
    if not (np.isfinite(found) & (found == np.round(found)) & (np.abs(found) < 2**53)).all():
        raise ValueError(f"root: {path} has a {variable} with other than whole numbers; {remedy}")
    return found.astype(np.int64)


ENDS = {b"IM": "<", b"MI": ">"}  # what level 5 says of the order of bytes


def _read_5(data: bytes, variable: bytes) -> np.ndarray | str | None:
    """The numbers of a variable, what else it is in words, or None where there is none."""
    order = ENDS[data[126:128]]
    for kind, content in _elements(data[128:], order):
        if kind == PACKED:
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(content, LARGEST)
            if not unpacking.eof:
                raise ValueError(f"a packed variable is cut off, or larger than {LARGEST} bytes")
            kind, content = next(_elements(content, order), (0, b""))
        if kind != MATRIX:
            continue
        parts = _elements(content, order)
        flags = np.frombuffer(_next(parts), f"{order}u4")[0]
        shape = np.frombuffer(_next(parts), f"{order}i4").tolist()
        if _next(parts) != variable:
            continue
        kind = int(flags & 0xFF)
        if kind not in NUMBERS or flags >> 8 & COMPLEX:
            return OTHERS.get(kind, "complex numbers" if kind in NUMBERS else f"class {kind}")
        kind, content = next(parts, (0, b""))
        if kind not in LEVEL_5:
            raise ValueError(f"numbers of type {kind}")
        return _matrix(content, np.dtype(order + LEVEL_5[kind]), shape)
    return None


def _next(parts: Iterator[tuple[int, bytes]]) -> bytes:
    found = next(parts, None)
    if found is None or not found[1]:
        raise ValueError("an array without flags, shape or name")
    return found[1]


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of one element after the other: a tag of 8 bytes, or 4 for a content of up to 4, and filling."""
    at = 0
    while at + 8 <= len(data):
        kind, size = (int(x) for x in np.frombuffer(data, f"{order}u4", 2, at))
        start = at + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            end = at + 8
        else:
            end = start + size + (-size % 8 if kind != PACKED else 0)
        if start + size > min(end, len(data)):
            raise ValueError(f"{len(data) - start} bytes where {size} are announced")
        yield kind, data[start : start + size]
        at = end


def _read_4(data: bytes, variable: bytes) -> np.ndarray | str | None:
    """As `_read_5`. A variable: type, rows, columns, whether imaginary numbers follow, length of the name; the name."""
    at = 0
    while at < len(data):
        order = "<" if data[at + 2 : at + 4] == b"\0\0" else ">"  # the type is a number of four digits
        if at + 20 > len(data):
            raise ValueError("cut off")
        kind, rows, columns, imaginary, length = np.frombuffer(data, f"{order}i4", 5, at).tolist()
        machine, number, matrix = kind // 1000, kind // 10 % 100, kind % 10
        if machine != (order == ">") or number >= len(LEVEL_4) or min(rows, columns) < 0 or not 0 < length < 256:
            raise ValueError("neither of level 5 nor of level 4")
        dtype = np.dtype(order + LEVEL_4[number])
        start = at + 20 + length
        end = start + rows * columns * dtype.itemsize * (2 if imaginary else 1)
        if end > len(data):
            raise ValueError("cut off")
        if data[at + 20 : start].rstrip(b"\0") == variable:
            if matrix or imaginary:
                return {1: "text", 2: "a sparse matrix"}.get(matrix, "complex numbers")
            return _matrix(data[start:end], dtype, [rows, columns])
        at = end
    if not data:
        raise ValueError("empty")
    return None


def _matrix(content: bytes, dtype: np.dtype, shape: list[int]) -> np.ndarray:
    """Numbers that stand column after column."""
    count = int(np.prod(shape, dtype=object))
    if min(shape) < 0 or len(shape) < 2 or count * dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes for a shape of {' by '.join(map(str, shape))}")
    return np.frombuffer(content, dtype).reshape(shape, order="F").astype(dtype.newbyteorder("="))
