"""Checkpoints and weights as safetensors: nothing is pickled, nothing is unpickled.

A file is written beside its place and renamed, so that a reader sees the old one or the new one, never a half.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict | None = None) -> None:
    """Writes named tensors (and one JSON value as metadata) to a safetensors file, whole or not at all.

    Raises ValueError naming the file when it cannot be written; what was there before is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(tensors, temporary, metadata={"json": json.dumps(metadata)})
        os.replace(temporary, path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be written ({error}); make room on its disk and run again") from error
    finally:
        temporary.unlink(missing_ok=True)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict | None]:
    """Reads what `save_tensors` wrote. Raises ValueError naming the file when it is not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return tensors, json.loads((file.metadata() or {}).get("json", "null"))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); delete it and run again") from error


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, curve: list[dict], kept: Mapping[str, Tensor]
) -> None:
    """Model, optimiser state, the curve so far and what else is kept by name, with a checksum of it all."""
    tensors = {f"kept/{name}": value for name, value in kept.items()}
    tensors |= {f"model/{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_tensors(path, tensors, {"curve": curve, "checksum": _checksum(tensors, curve)})


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, kept: Mapping[str, Tensor]
) -> list[dict]:
    """Restores model, optimiser and what else is kept in place; returns the curve so far.

    Raises ValueError when they do not fit, and when they are not what was written.
    """
    tensors, metadata = load_tensors(path)
    if not isinstance(metadata, dict) or metadata.get("checksum") != _checksum(tensors, metadata.get("curve")):
        raise ValueError(f"{path}: differs from its own checksum; delete it and run again")
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, entry = name.split("/", 2)
            state.setdefault(int(index), {})[entry] = value
    try:
        model.load_state_dict({n.removeprefix("model/"): v for n, v in tensors.items() if n.startswith("model/")})
    except RuntimeError as error:
        raise ValueError(f"{path}: holds another model's weights; delete it and run again") from error
    for name, value in kept.items():
        saved = tensors.get(f"kept/{name}")
        if saved is None or saved.shape != value.shape:
            raise ValueError(f"{path}: has no {name} of shape {tuple(value.shape)}; delete it and run again")
        value.copy_(saved)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return metadata["curve"]


def _checksum(tensors: Mapping[str, Tensor], curve: list[dict] | None) -> str:
    """SHA-256 (hex) of names, types, shapes and bytes of tensors on the CPU, and of the curve."""
    digest = hashlib.sha256(json.dumps(curve).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def load_all_but_classifier(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Starts a model from the weights of another one of its kind that told other persons apart.

    Raises ValueError when anything but the classifier, `classify` in every model here, does not fit.
    """
    own = {name for name in model.state_dict() if "classify" not in name.split(".")}
    given = {name: value for name, value in weights.items() if "classify" not in name.split(".")}
    if own != set(given):
        raise ValueError(f"weights: another model's, which differs in {', '.join(sorted(own ^ set(given))[:3])}")
    try:
        model.load_state_dict(given, strict=False)
    except RuntimeError as error:
        raise ValueError(f"weights: of other shapes than the model's ({error})") from error
