"""The set-up: one list of versions, files that agree, imports that point one way, nothing of one machine."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import reidlib

ROOT = Path(__file__).resolve().parents[1]
PINNED_BY_TORCH = re.compile(r"(nvidia|cuda)-|triton$")  # on Linux only
PYTHONS = ("3.11", "3.12")


def lock_lines() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def lock() -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lock_lines())}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def direct_requirements() -> list[Requirement]:
    groups = [project()["dependencies"], *project()["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], check=False, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_lock_holds_names_and_exact_versions_only():
    wrong = [line for line in lock_lines() if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==\d[\w.+!]*", line)]
    assert not wrong
    assert len(lock()) == len(lock_lines()), "a package twice"
    assert not [name for name in lock() if PINNED_BY_TORCH.match(name)]


@pytest.mark.parametrize("requirement", direct_requirements(), ids=str)
def test_lock_satisfies_pyproject(requirement):
    assert lock()[canonicalize_name(requirement.name)] in requirement.specifier


def test_lock_holds_all_that_is_needed_and_nothing_else():
    """Follows the requirements of the installed packages, for each Python that we support."""
    versions = lock()
    others = {name: found for name, found in installed_versions(versions).items() if found != versions[name]}
    if others:
        pytest.skip(f"other versions than the lock's are installed: {others}")
    todo = [*direct_requirements(), Requirement("setuptools")]
    seen, unmet = set(), []
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if PINNED_BY_TORCH.match(name) or (name, extras := frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, extras))
        if versions.get(name, "none") not in requirement.specifier:
            unmet.append(f"{requirement}, locked {versions.get(name)}")
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # needed by the other Python only
            continue
        todo += [need for need in map(Requirement, needs) if applies(need, extras)]
    assert not unmet
    if not (missing := set(versions) - set(installed_versions(versions))):
        assert {name for name, _ in seen} == set(versions)
    else:  # what comes with a package of the other Python cannot be followed here
        assert set(versions) - {name for name, _ in seen} <= missing


def installed_versions(names) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    pythons = [{"python_version": python, "python_full_version": f"{python}.1"} for python in PYTHONS]
    return any(requirement.marker.evaluate(linux | p | {"extra": e}) for p in pythons for e in extras or {""})


def test_package_declares_what_it_imports():
    spelt = {"PIL": "pillow", "yaml": "pyyaml", "IPython": "ipython", "sklearn": "scikit-learn"}
    declared = {canonicalize_name(requirement.name) for requirement in direct_requirements()}
    used = set().union(*(imported(path) for path in (ROOT / "reidlib").glob("**/*.py")))
    third_party = {name.partition(".")[0] for name in used} - {"reidlib", *sys.stdlib_module_names}
    assert {spelt.get(name, name) for name in third_party} <= declared


def imported(path: Path) -> set[str]:
    """Absolute imports of a module, wherever they stand in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}


def test_conda_environment_agrees_with_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    python = next(entry.split("=")[1] for entry in conda if entry.startswith("python="))
    assert python in PYTHONS and python in SpecifierSet(project()["requires-python"])
    assert "pip" in conda
    chosen = {canonicalize_name(name): version for name, version in (entry.split("==") for entry in pip)}
    assert chosen == {name: lock()[name] for name in {canonicalize_name(r.name) for r in direct_requirements()}}


def test_versions_agree():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == reidlib.__version__


def test_make_lists_its_targets():
    targets = {"help", "setup", "study", "test", "lint", "book", "clean"}
    makefile = (ROOT / "Makefile").read_text()
    assert targets == set(re.findall(r"^([a-z]+):[^=].*##", makefile, flags=re.MULTILINE))
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(re.search(rf"^  {target}\s", told, flags=re.MULTILINE) for target in targets)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_workflows_run_what_the_makefile_has():
    makefile = (ROOT / "Makefile").read_text()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        steps = [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]
        targets = [command.split()[1] for step in steps if (command := step.get("run", "")).startswith("make ")]
        assert targets and all(f"\n{target}:" in makefile for target in targets), path.name
        actions = [step["uses"] for step in steps if "uses" in step]
        assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions), path.name


def test_readme_names_what_exists():
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z]+)", readme):
        assert f"\n{target}:" in makefile, f"README: make {target}"
    for name in re.findall(r"\b((?:chapters|params|book|tests)/[\w./-]*)", readme):
        assert (ROOT / name).exists(), f"README: {name}"


def test_imports_point_one_way():
    """The contracts in pyproject.toml."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    linted = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_retrieval_needs_four_packages_only():
    """So that anyone can take it into another project, with the file that holds its memory's budget."""
    allowed = {"torch", "numpy", "numba", "scipy", *sys.stdlib_module_names}
    for path in [*sorted((ROOT / "reidlib" / "retrieval").glob("**/*.py")), ROOT / "reidlib" / "memory.py"]:
        others = {name for name in imported(path) if name.partition(".")[0] not in allowed}
        mine = ("reidlib.retrieval", "reidlib.memory")
        assert all(name.startswith(mine) for name in others), f"{path.name}: {others}"


def test_no_file_names_this_machine_or_a_registry():
    machine = re.compile(r"(?<![\w.~}])/(?:work|root|tmp|home|farm|Users)/\w[\w./-]*")
    registry = re.compile("|".join(re.escape(host) for host in hosts()))
    told = []
    for path in tracked_files():
        text = readable(path)
        told += [f"{path.relative_to(ROOT)}: {found}" for found in machine.findall(text) + registry.findall(text)]
    assert not told


def hosts() -> list[str]:
    """Registries, spelt so that this file does not name them."""
    return [".".join(parts) for parts in (
        ("pypi", "org"), ("files", "pythonhosted", "org"), ("download", "pytorch", "org"), ("conda", "anaconda", "org"),
        ("registry", "npmjs", "org"), ("proxy", "golang", "org"),
    )]  # fmt: skip


def readable(path: Path) -> str:
    """A file's text; of a notebook all but its pictures, whose base64 may spell anything."""
    data = path.read_bytes()
    if b"\0" in data:
        return ""
    text = data.decode("utf-8", errors="replace")
    if path.suffix != ".ipynb":
        return text
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            output["data"] = {kind: value for kind, value in output.get("data", {}).items() if "image" not in kind}
    return json.dumps(notebook)


def test_source_chapters_carry_no_outputs():
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in cells), path.name
