import os

import pytest

from reidlib.data.listing import list_images


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_lists_images_below_a_folder_in_sorted_order(tmp_path, monkeypatch):
    names = ["b/2.JPG", "b/10.jpeg", "a/é.png", "Z.webp", "ö/ß.tif"]
    touch(tmp_path, *names)
    assert list_images(tmp_path) == sorted(names)
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: sorted(listdir(folder), reverse=True))
    assert list_images(tmp_path) == sorted(names)


def test_leftovers_are_passed_over(tmp_path):
    touch(tmp_path, "1.jpg", ".hidden.jpg", "._1.jpg", "Thumbs.db", "desktop.ini", "__MACOSX/1.jpg", ".git/config")
    assert list_images(tmp_path) == ["1.jpg"]


def test_files_that_are_not_images_are_counted_and_three_are_named(tmp_path):
    touch(tmp_path, "1.jpg", "a.txt", "b.csv", "c/d.mp4", "e.heic")
    with pytest.raises(ValueError, match=r"^root: 4 files below .* are not images \(a.txt, b.csv, c/d.mp4, ...\)"):
        list_images(tmp_path)


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="^root: there is no folder .*absent"):
        list_images(tmp_path / "absent")
    with pytest.raises(ValueError, match="^root: .* holds no image"):
        list_images(tmp_path)
    touch(tmp_path, "full/1.jpg")
    (tmp_path / "void").mkdir()
    with pytest.raises(ValueError, match="^root: .*void holds no image; fill the folder or remove it"):
        list_images(tmp_path)


def test_linked_folders_are_followed_and_loops_are_named(tmp_path):
    touch(tmp_path, "far/1.jpg", "set/own.jpg")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "far")
    assert list_images(tmp_path / "set") == ["linked/1.jpg", "own.jpg"]
    (tmp_path / "far" / "back").symlink_to(tmp_path / "set")
    with pytest.raises(ValueError, match="^root: .*linked/back is a link back to .*set, which holds it"):
        list_images(tmp_path / "set")


def test_a_dangling_link_is_no_image(tmp_path):
    touch(tmp_path, "1.jpg")
    (tmp_path / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(ValueError, match=r"are not images \(2.jpg\)"):
        list_images(tmp_path)


def test_a_name_that_is_no_text_is_refused_in_a_readable_message(tmp_path):
    try:
        with open(os.fsencode(tmp_path) + b"/\xff.jpg", "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(ValueError, match=r"are not images \(\\udcff.jpg\)"):
        list_images(tmp_path)
