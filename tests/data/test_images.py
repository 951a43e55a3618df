import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from reidlib.data import Dataset, load_images
from reidlib.data.dataset import manifest_hash
from reidlib.data.table import make_table


def dataset_of(root, names):
    n = len(names)
    numbers = {"person": [0] * n, "camera": [0] * n, "sequence": [0] * n, "frame": range(n)}
    table = make_table({"path": names, **numbers, "split": ["train"] * n, "role": ["train"] * n})
    return Dataset("tiny", root, table, "none")


@pytest.fixture
def tiny(tmp_path):
    random = np.random.default_rng(0)
    names = []
    for number, (height, width) in enumerate(((5, 7), (32, 16), (64, 32), (9, 40))):
        names.append(f"{number}.png")
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / names[-1])
    return dataset_of(tmp_path, names)


def bicubic(signal, size):
    """Resizes along the first axis: Keys' cubic (a = -1/2), widened by the factor when it shrinks; float64."""
    n = len(signal)
    scale = n / size
    widening = max(scale, 1.0)
    out = np.zeros((size, *signal.shape[1:]))
    for i in range(size):
        centre, total = (i + 0.5) * scale, 0.0
        for j in range(n):
            x = abs((j + 0.5 - centre) / widening)
            weight = 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0
            out[i] += weight * signal[j]
            total += weight
        out[i] /= total
    return out


def test_resized_bicubically_with_smoothing_in_the_order_of_the_rows(tiny):
    rows = tiny.table.iloc[[2, 0, 3, 1, 0]]
    images = load_images(tiny, rows, 32, 16, progress=False)
    assert images.shape == (5, 3, 32, 16)
    assert images.dtype == torch.uint8
    assert images.is_contiguous()
    for image, path in zip(images, rows["path"], strict=True):
        pixels = np.asarray(Image.open(tiny.root / path)).astype(float)
        across = np.clip(np.round(bicubic(pixels.swapaxes(0, 1), 16)), 0, 255).swapaxes(0, 1)
        wanted = np.clip(np.round(bicubic(across, 32)), 0, 255)     # across first, and rounded: Pillow's order
        assert np.abs(image.permute(1, 2, 0).numpy() - wanted).max() <= 1


def test_an_image_of_the_right_size_is_left_alone(tiny):
    image = load_images(tiny, tiny.table.iloc[[1]], 32, 16, progress=False)[0]
    assert np.array_equal(image.permute(1, 2, 0), np.asarray(Image.open(tiny.root / "1.png")))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK", "LA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    name = "grey.tif" if mode == "CMYK" else "grey.png"
    Image.new("L", (4, 4), 255).convert(mode).save(tmp_path / name)
    images = load_images(dataset := dataset_of(tmp_path, [name]), dataset.table, 4, 4, progress=False)
    assert torch.equal(images, torch.full((1, 3, 4, 4), 255, dtype=torch.uint8))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_greys(tmp_path, suffix):
    """Pillow's own conversion clips: everything from 256 of 65,535 on would be white."""
    values = np.array([[0, 255, 256, 257], [1000, 32768, 65279, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"deep.{suffix}")
    images = load_images(dataset := dataset_of(tmp_path, [f"deep.{suffix}"]), dataset.table, 2, 4, progress=False)
    assert images[0, 0].tolist() == (values // 256).tolist()


def test_thirty_two_bits_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    dataset = dataset_of(tmp_path, ["float.tif"])
    with pytest.raises(ValueError, match=r"float.tif \(mode F, 32 bits a pixel; save it with 8 or 16\)"):
        load_images(dataset, dataset.table, 4, 4, progress=False)


def test_turned_upright_by_exif(tmp_path):
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6                                                # turn clockwise by 90 degrees to view
    picture.save(tmp_path / "turned.png", exif=exif)
    images = load_images(dataset := dataset_of(tmp_path, ["turned.png"]), dataset.table, 4, 2, progress=False)
    assert images[0, 0].nonzero().tolist() == [[0, 1]]


def test_the_bar_can_be_had_and_left(tiny, capfd):
    load_images(tiny, tiny.table, 4, 4, progress=False)
    assert capfd.readouterr().err == ""
    load_images(tiny, tiny.table, 4, 4)
    assert "tiny images" in capfd.readouterr().err


def test_unusable_images_are_counted_and_named_with_a_remedy(tmp_path):
    names = ["a.jpg", "b.jpg", "c.png", "d.png", "e.jpg", "f.png"]
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole[:-30])                   # cut off
    (tmp_path / "c.png").write_bytes(b"no image at all")
    (tmp_path / "d.png").write_bytes(b"")
    Image.new("RGB", (8, 8)).save(tmp_path / "f.png")
    broken = (tmp_path / "f.png").read_bytes()
    (tmp_path / "f.png").write_bytes(broken.replace(zlib.compress(b"")[:1], b"\x00"))
    dataset = dataset_of(tmp_path, names)                           # e.jpg is missing
    with pytest.raises(ValueError) as caught:
        load_images(dataset, dataset.table, 4, 4, progress=False)
    message = str(caught.value)
    assert message.startswith(f"rows: 5 of 6 images cannot be used: {tmp_path / 'b.jpg'} (")
    assert f"{tmp_path / 'c.png'} (" in message
    assert message.endswith(f"restore the files below {tmp_path}, or take them out of the data set")
    with pytest.raises(ValueError, match=r"e.jpg \(No such file or directory\)"):
        load_images(dataset, dataset.table.iloc[[4]], 4, 4, progress=False)
    with pytest.raises(ValueError, match=r"f.png \("):
        load_images(dataset, dataset.table.iloc[[5]], 4, 4, progress=False)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [63, 30])                         # Pillow itself warns over 1x and fails over 2x
def test_a_decompression_bomb_is_an_error(tmp_path, monkeypatch, limit):
    Image.new("RGB", (8, 8)).save(tmp_path / "huge.png")
    dataset = dataset_of(tmp_path, ["huge.png"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=r"huge.png \(.*(limit|exceeds)"):
        load_images(dataset, dataset.table, 4, 4, progress=False)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64)
    assert load_images(dataset, dataset.table, 4, 4, progress=False).shape == (1, 3, 4, 4)


def test_no_rows_and_no_pixels_are_refused(tiny):
    with pytest.raises(ValueError, match="^rows: wants at least one row"):
        load_images(tiny, tiny.table.iloc[:0], 4, 4)
    with pytest.raises(ValueError, match="^height: wants 1 pixel or more, got 0"):
        load_images(tiny, tiny.table, 0, 4)
    with pytest.raises(ValueError, match="^width: wants 1 pixel or more, got -1"):
        load_images(tiny, tiny.table, 4, -1)


def test_the_hash_depends_on_names_and_bytes_only(tiny):
    names = list(tiny.table["path"])
    assert tiny.manifest_hash == manifest_hash(tiny.root, names[::-1])
    before = tiny.manifest_hash
    (tiny.root / "0.png").rename(tiny.root / "9.png")
    assert manifest_hash(tiny.root, ["9.png", *names[1:]]) != before
    (tiny.root / "9.png").rename(tiny.root / "0.png")
    with (tiny.root / "0.png").open("ab") as file:
        file.write(b"!")
    assert manifest_hash(tiny.root, names) != before
    (tiny.root / "0.png").unlink()
    with pytest.raises(ValueError, match="^root: cannot read .*0.png"):
        manifest_hash(tiny.root, names)
