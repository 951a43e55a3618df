"""What every chapter begins with: its parameters checked, its profile and its store opened."""

from __future__ import annotations

import ast
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from reidlib.data.paths import data_home
from reidlib.study.profile import Profile, profile_from, unknown
from reidlib.study.provenance import ROOT
from reidlib.study.runner import Study
from reidlib.study.store import Store

PLAIN = int | float | str | bool | list | dict | None  # what papermill can inject


def published_records() -> Path:
    """The records beside the book that is being built: $REID_RECORDS, else book/records."""
    return Path(os.environ.get("REID_RECORDS", ROOT / "book" / "records"))


def open_study(profile: Profile, published: Path | None = None) -> Study:
    """The study of a profile, on the user's store and the published records (None: `published_records()`)."""
    return Study(profile, Store(data_home() / "store", published or published_records()))


def begin(namespace: dict[str, Any]) -> Study:
    """Checks the parameters of the running notebook and opens its study. Call it right after the parameters.

    namespace: the notebook's `globals()`.
    papermill's `-p reference true` arrives as text; true and false count as such where a bool is declared.
    Raises ValueError for a parameter that the notebook's first cell does not define (papermill only warns of it), for
    a wrong type.
    """
    declared = _declared(namespace["In"])
    hidden = {"In", "Out", "exit", "quit", "get_ipython", "open"}
    for name, value in namespace.items():
        if not name.startswith("_") and name not in hidden | set(declared) and isinstance(value, PLAIN):
            raise ValueError(unknown("parameter", name, declared))
    for name, kind in declared.items():
        if kind == "bool" and namespace[name] in ("true", "false"):
            namespace[name] = namespace[name] == "true"
        if name not in {field.name for field in fields(Profile)}:
            _check_type(name, namespace[name], kind)
    return open_study(profile_from({field.name: namespace[field.name] for field in fields(Profile)}, "parameters"))


def _declared(cells: list[str]) -> dict[str, str]:
    """Name and annotation of every `name: type = value` line of the parameters cell, the first that has such lines."""
    source = next((cell for cell in cells if "profile: str" in cell), None)
    if source is None:
        raise ValueError("parameters: run the first cell, which defines them, before this one")
    lines = [node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign)]
    return {node.target.id: ast.unparse(node.annotation) for node in lines}


def _check_type(name: str, value: Any, annotation: str) -> None:
    kinds = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list}
    if not isinstance(value, kinds[annotation]) or (isinstance(value, bool) and annotation != "bool"):
        raise ValueError(f"{name}: wants {annotation}, got {value!r}")
