"""Argument checks shared by the retrieval functions: arrays in, tidy tensors out, or one clear sentence.

m queries, n gallery images, D feature size.
"""

import numbers

import numpy as np
import torch
from torch import Tensor


def matrix(value, name: str, shape: tuple[int | None, int | None] = (None, None), dtype=None) -> Tensor:
    """A finite, non-empty 2-D tensor, on the device it came on, cut off from autograd.

    value: torch tensor or numpy array. shape: the size wanted along each axis, None where any size will do.
    dtype: of the answer; None keeps float32 and float64, makes half precision float32 and integers float64.
    Raises ValueError naming the argument.
    """
    tensor = _tensor(value, name)
    wanted = f"({', '.join('any' if size is None else str(size) for size in shape)})"
    if tensor.ndim != 2 or any(size not in (None, got) for size, got in zip(shape, tensor.shape, strict=True)):
        raise ValueError(f"{name}: wants shape {wanted}, got {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        raise ValueError(f"{name}: empty, shape {tuple(tensor.shape)}")
    if tensor.is_complex():
        raise ValueError(f"{name}: wants real numbers, got {tensor.dtype}")
    if dtype is None:
        dtype = torch.promote_types(tensor.dtype, torch.float32) if tensor.is_floating_point() else torch.float64
    tensor = tensor.to(dtype)
    low, high = torch.aminmax(tensor)  # NaN comes through both, and nothing is allocated
    if not (torch.isfinite(low) and torch.isfinite(high)):
        bad = int((~torch.isfinite(tensor)).sum())
        raise ValueError(f"{name}: {bad} of {tensor.numel()} values are NaN or infinite")
    return tensor


def features(x, y, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """Two float32 feature matrices (m, D) and (n, D) of the same D on the same device, or ValueError."""
    first = matrix(x, names[0], dtype=torch.float32)
    second = matrix(y, names[1], (None, first.shape[1]), dtype=torch.float32)
    if first.device != second.device:
        raise ValueError(f"{names[1]}: on {second.device}, while {names[0]} is on {first.device}")
    return first, second


def distances(value, name: str, shape: tuple[int | None, int | None] = (None, None)) -> np.ndarray:
    """`matrix`, as a C-contiguous numpy array in main memory. float64 stays float64: rounding would make ties."""
    return np.ascontiguousarray(matrix(value, name, shape).cpu().numpy())


def device_of(value) -> torch.device:
    """Where the answer goes: back to where the argument came from."""
    return value.device if isinstance(value, Tensor) else torch.device("cpu")


def integers(value, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An int64 numpy array of the wanted shape (None: any size), or ValueError. Empty is allowed."""
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.size == 0:
        array = array.astype(np.int64)  # np.asarray([]) is a float array
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name}: wants integers, got {array.dtype}")
    if array.ndim != len(shape) or any(size not in (None, got) for size, got in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name}: wants shape ({wanted}), got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.int64)


def at_least(value, least: int, name: str) -> int:
    """A whole number no smaller than `least`, or ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name}: wants a whole number of at least {least}, got {value!r}")
    return int(value)


def one_of(value, choices, name: str) -> str:
    """One of the named choices, or ValueError listing them."""
    if value not in tuple(choices):
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(map(repr, choices))}")
    return value


def _tensor(value, name: str) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name}: wants a tensor or array of numbers, got {type(value).__name__} of {array.dtype}")
    if array.dtype.itemsize > 8 or array.dtype.kind == "u" or not array.dtype.isnative:
        array = array.astype(np.float64)  # long double, unsigned, foreign byte order
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
