"""One torch thread a test process: two processes of two threads each on two cores wait for each other.

And the built book, once for all test processes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, and for the commands that tests run

import pytest  # noqa: E402
import torch  # noqa: E402
from filelock import FileLock  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)  # for each test: numba's OpenMP layer changes it for the whole process


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The folder of the published book's pages, built without a network; the build has to end without warning."""
    own = tmp_path_factory.getbasetemp()
    output = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "book"  # the workers' common folder
    with FileLock(f"{output}.lock"):
        if not (output / "log").exists():
            built = build_book(output)
            output.mkdir(exist_ok=True)
            (output / "log").write_text(f"{built.returncode}\n{built.stdout}{built.stderr}")
    status, _, log = (output / "log").read_text().partition("\n")
    told = "\n".join(line for line in log.splitlines() if re.search(r"WARNING|ERROR", line))
    assert status == "0", told or log
    return output / "_build" / "html"


def build_book(output: Path) -> subprocess.CompletedProcess:
    command = [*without_network(), str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT / "book")]
    command += ["--path-output", str(output), "-W", "-n", "--keep-going"]
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    return subprocess.run(command, check=False, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True)


def without_network() -> list[str]:
    """A prefix that takes the network from a command, where the system lets us."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0:
        return prefix
    return []  # proxies that lead nowhere have to do
