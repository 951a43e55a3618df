from pathlib import Path

import pytest

from reidlib.data import data_home, paths


def test_variable_moves_everything(monkeypatch, tmp_path):
    monkeypatch.setenv("REID_DATA", str(tmp_path / "elsewhere"))
    assert data_home() == tmp_path / "elsewhere"
    assert paths.worlds_home() == tmp_path / "elsewhere" / "worlds"
    assert paths.dataset_home("synergyreid") == tmp_path / "elsewhere" / "data" / "synergyreid"


def test_a_relative_variable_does_not_follow_later_changes_of_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REID_DATA", "here")
    assert data_home() == tmp_path / "here"
    assert data_home().is_absolute()


@pytest.mark.parametrize("value", [None, ""])
def test_a_checkout_keeps_its_data_in_one_ignored_folder(monkeypatch, value):
    monkeypatch.delenv("REID_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("REID_DATA", value)
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "reidlib").is_dir():
        pytest.skip("the package under test is not in this checkout")
    assert data_home() == checkout / ".reid"
    assert ".reid/" in (checkout / ".gitignore").read_text().split()


def test_an_installed_package_uses_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("REID_DATA", raising=False)
    monkeypatch.setattr(paths, "_checkout", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_home() == tmp_path / "reid"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_home() == tmp_path / "home" / ".cache" / "reid"


def test_a_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("REID_DATA", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="^REID_DATA: wants a folder"):
        data_home()
