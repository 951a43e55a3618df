import hashlib

import pytest
from PIL import Image

from reidlib.data import open_dataset
from reidlib.data.dataset import manifest_hash


def test_an_unknown_name_lists_the_names_and_guesses():
    with pytest.raises(ValueError, match="^name: no data set 'synergy-reid'; did you mean 'synergyreid'\\?; there are"):
        open_dataset("synergy-reid")
    known = "courtside, crosswalk, folder, ilidsvid, market1501, mars, prid2011, synergyreid"
    with pytest.raises(ValueError, match=f"^name: no data set 'xyz'; there are {known}$"):
        open_dataset("xyz")


def test_an_unknown_option_is_named(tmp_path):
    with pytest.raises(ValueError, match="^options: folder has no option 'patern'; did you mean 'pattern'"):
        open_dataset("folder", tmp_path, patern="x")
    with pytest.raises(ValueError, match="^options: synergyreid has no option 'spec'; it takes none"):
        open_dataset("synergyreid", tmp_path, spec=None)


def test_rows_of_a_split_and_a_role(tmp_path):
    for person in "ab":
        for number in range(2):
            path = tmp_path / "train" / person / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (1, 1)).save(path)
    dataset = open_dataset("folder", str(tmp_path))
    assert len(dataset.rows("train")) == 4
    assert dataset.root == tmp_path
    with pytest.raises(ValueError, match="^split: folder in .* has no 'test'; it has train"):
        dataset.rows("test")
    with pytest.raises(ValueError, match="^role: split 'train' of folder has no 'query'"):
        dataset.rows("train", "query")


def test_the_hash_is_what_the_docstring_says(tmp_path):
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    lines = "".join(f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in (("a", b"1"), ("b", b"2")))
    assert manifest_hash(tmp_path, ["b", "a"]) == hashlib.sha256(lines.encode()).hexdigest()
