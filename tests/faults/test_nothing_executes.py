"""Data are read, never run: no pickle, no archive, no network, and what comes from data is text where it is shown."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from reidlib.study.provenance import ROOT

SOURCES = [*sorted((ROOT / "reidlib").rglob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py"))]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal",  # run what they read
           "zipfile", "tarfile",  # write where the archive says; users unpack what they downloaded themselves
           "socket", "urllib", "http", "ftplib", "requests", "httpx", "aiohttp", "huggingface_hub"}  # fmt: skip
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.hub.load", "pd.read_pickle", "np.load",
         "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "shutil.unpack_archive",
         "load_state_dict_from_url", "loadmat"}  # fmt: skip


def told(source: str) -> list[str]:
    """Imports and calls of a source that read data as code, unpack archives or go to a network."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.partition(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [node.module] if node.module.partition(".")[0] in MODULES else []
            found += [name.name for name in node.names if name.name in CALLS]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found += [called] if called in CALLS or called.endswith(".loadmat") else []
            for keyword in node.keywords:
                value = ast.unparse(keyword.value)
                unsafe = {"shell": "True", "allow_pickle": "True", "weights_only": "False", "pretrained": "True"}
                found += [f"{keyword.arg}={value}"] if unsafe.get(keyword.arg) == value else []
    return found


# What a process hands to those that it starts, in a folder that is theirs alone, as multiprocessing does by a pipe:
# no file that comes from anywhere else.
HANDED_OVER = {"reidlib/study/group.py": ["pickle"]}


def test_no_source_reads_data_as_code():
    found = {path.relative_to(ROOT).as_posix(): told(path.read_text()) for path in SOURCES}
    assert {name: what for name, what in found.items() if what} == HANDED_OVER
    assert "tempfile.TemporaryDirectory" in (ROOT / "reidlib/study/group.py").read_text()


def test_no_chapter_does():
    for path in (ROOT / "chapters").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                assert told("".join(cell["source"])) == [], path.name


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from pickle import loads", "torch.load(x)", "import urllib.request",
     "np.load(x, allow_pickle=True)",
     "from torch.hub import load_state_dict_from_url", "subprocess.run(x, shell=True)", "scipy.io.loadmat(x)",
     "models.resnet18(pretrained=True)", "tarfile.open(x)\nimport tarfile"],
)  # fmt: skip
def test_the_search_finds_them(source):
    assert told(source)


def hostile_folder(root: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for person in (name, "q"):
            for number in range(4):
                path = root / split / person / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 255, (32, 16, 3), dtype=np.uint8)).save(path)


NO_NETWORK = """
import socket, sys
def refuse(*arguments, **options):
    print("network", arguments, file=sys.stderr)
    sys.stderr.flush()
    import os
    os._exit(77)
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
"""
TRAIN = """
from pathlib import Path
from reidlib.study.own import train_on_folder
train_on_folder(Path(sys.argv[1]), None, height=32, width=32, epochs=1, backbone_width=0.125, device="cpu")
"""


def test_the_guard_refuses():
    command = [sys.executable, "-c", NO_NETWORK + "socket.create_connection(('127.0.0.1', 9))"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 77


def test_a_training_contacts_nobody_whatever_its_files_are_called(tmp_path):
    """Names that a shell, a format or a browser would act on are names."""
    name = "$(touch owned) `touch owned` {0.__class__} %s <img src=x onerror=alert(1)> \"';--"
    hostile_folder(tmp_path / "images", name)
    environment = os.environ | {"REID_DATA": str(tmp_path / "home")}
    command = [sys.executable, "-c", NO_NETWORK + TRAIN, str(tmp_path / "images")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "network" not in done.stderr, done.stderr
    assert not list(tmp_path.rglob("owned*"))
    (record,) = (tmp_path / "home").glob("store/evaluate/*/record.json")
    assert json.loads(record.read_text())["metrics"]["mAP"] > 0


HOSTILE = "<script>alert(1)</script>"


def shown(markdown: str, tmp_path: Path) -> BeautifulSoup:
    """A page of the book that holds a text, as Sphinx and MyST make it with the book's own configuration."""
    import yaml

    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["sphinx"]["config"].pop("html_extra_path")
    config.pop("bibtex_bibfiles")
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    (tmp_path / "page.md").write_text("# Page\n\n" + markdown)
    program = str(Path(sys.executable).with_name("jupyter-book"))
    done = subprocess.run([program, "build", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return BeautifulSoup((tmp_path / "_build" / "html" / "page.html").read_text(), "html.parser").find("article")


@pytest.mark.book
def test_captions_and_names_are_text_in_the_book(tmp_path):
    from reidlib.study.tables import markdown

    table = markdown(f"A caption {HOSTILE}", "tab-x", ["file", HOSTILE], [["a", f"x{HOSTILE}|y`z"]], left=(0, 1))
    page = shown(table, tmp_path)
    assert not [tag for tag in page.find_all("script") if "alert" in tag.get_text()]
    assert page.get_text().count("alert(1)") == 3 and page.find("table").find_all("td")[1].get_text().endswith("y`z")
