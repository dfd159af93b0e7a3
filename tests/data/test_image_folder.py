"""Folders of images."""

import os
import sys

import numpy as np
import pytest
from helpers import host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anynet.data import image_folder
from anynet.errors import ArgumentError, DataError, MissingPackageError

Image = pytest.importorskip("PIL.Image", reason="images need Pillow")


def save(path, value=0, size=(6, 4), mode="RGB", **options):
    """Write an image of one color. The size is (width, height), as for Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Five red and five green images."""
    for i in range(5):
        save(tmp_path / "data" / "red" / f"{i}.png", (200 + i, 0, 0))
        save(tmp_path / "data" / "green" / f"{i}.png", (0, 100 + i, 0))
    return tmp_path / "data"


def test_images_labels_and_classes(backend, folder):
    dataset = image_folder(folder, backend)
    assert dataset.classes == ("green", "red")
    assert (dataset.train[0].shape, dataset.test[0].shape) == ((8, 3, 4, 6), (2, 3, 4, 6))
    assert dataset.train[0].dtype == backend.xp.float32
    assert dataset.train[1].dtype == backend.xp.int32
    for x, t in dataset:
        for image, label in zip(np.rint(host(x) * 255), host(t), strict=True):
            red, green, blue = image
            assert (red > 0).all() == (label == 1)
            assert (green > 0).all() == (label == 0)
            assert (blue == 0).all()
    assert image_folder(folder, backend, flat=True).train[0].shape == (8, 72)


def test_pixels_are_in_place(tmp_path):
    """The order is channels, rows, columns."""
    pixels = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
    for i in range(2):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "a" / f"{i}.png")
    (x, _), _ = image_folder(tmp_path, "numpy", test_split=0.5)
    np.testing.assert_array_equal(np.rint(x[0] * 255), pixels.transpose(2, 0, 1))


def test_seed_chooses_the_test_images(folder):
    first, again, other = (image_folder(folder, "numpy", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.test[0], again.test[0])
    assert (first.test[0] != other.test[0]).any()
    every = np.concatenate([first.train[0], first.test[0]])
    assert len({image.tobytes() for image in every}) == 10


def test_folders_of_training_and_test_images(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        for i in range(count):
            for name in ("a", "b"):
                save(tmp_path / part / name / f"{i}.png", mode="L")
    dataset = image_folder(tmp_path, "numpy")
    assert (dataset.train[0].shape, dataset.test[0].shape) == ((6, 1, 4, 6), (4, 1, 4, 6))
    assert dataset.train[1].tolist() == [0, 0, 0, 1, 1, 1]
    save(tmp_path / "test" / "c" / "1.png", mode="L")
    with pytest.raises(DataError, match=r"has the classes a, b and .*test has a, b, c: wanted the"):
        image_folder(tmp_path, "numpy")


def test_size_and_mode(folder):
    save(folder / "red" / "large.jpg", (250, 0, 0), size=(60, 40))
    with pytest.raises(
        DataError, match=r"large.jpg is of \(height, width\) \(40, 60\) and .*0.png"
    ):
        image_folder(folder, "numpy")
    assert image_folder(folder, "numpy", size=(5, 7)).train[0].shape[1:] == (3, 5, 7)
    save(folder / "red" / "large.jpg", 7, mode="L")
    with pytest.raises(
        DataError, match=r"large.jpg has the mode L and .* has RGB: give mode='RGB'"
    ):
        image_folder(folder, "numpy")
    assert image_folder(folder, "numpy", mode="RGB").train[0].shape[1:] == (3, 4, 6)
    assert image_folder(folder, "numpy", mode="L").train[0].shape[1:] == (1, 4, 6)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("RGBA", "has the mode RGBA: wanted L or RGB, to which mode='RGB' converts"),
        ("P", "has the mode P: wanted L or RGB"),
        ("I;16", "has the mode I;16, of more than 8 bits: convert it"),
    ],
)
def test_modes_that_are_not_guessed(tmp_path, mode, message):
    save(tmp_path / "a" / "1.png", mode=mode)
    with pytest.raises(DataError, match=message):
        image_folder(tmp_path, "numpy")


def test_photos_are_turned_as_the_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(2):
        save(tmp_path / "a" / f"{i}.jpg", size=(6, 4), exif=exif)
    assert image_folder(tmp_path, "numpy", test_split=0.5).train[0].shape == (1, 3, 6, 4)


def test_hidden_files_are_left_out(folder):
    (folder / ".cache").mkdir()
    (folder / "red" / ".DS_Store").touch()
    (folder / "red" / "Thumbs.db").touch()
    assert image_folder(folder, "numpy").classes == ("green", "red")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("red/notes.txt", b"", "notes.txt is no image by its name: wanted .bmp, .gif"),
        ("red/photo.heic", b"", "photo.heic is no image by its name"),
        ("red/more/1.png", b"", "more is no image by its name"),
        ("red/broken.png", b"text", "broken.png is no image, or a damaged one .*: remove or"),
        ("red/empty.png", b"", "empty.png is no image, or a damaged one"),
        ("blue/.hidden", b"", "blue has no images: remove the folder"),
    ],
)
def test_other_files_raise(folder, name, content, message):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        image_folder(folder, "numpy")


def test_half_an_image_raises(folder):
    path = folder / "red" / "half.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 6, 3), "uint8")).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"half.png is no image, or a damaged one"):
        image_folder(folder, "numpy")


FUZZ = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp", "ppm"])
@FUZZ
@given(data=st.data())
def test_damaged_images_are_read_or_raise(tmp_path, suffix, data):
    """Some damage changes pixels only."""
    for i in range(2):
        save(tmp_path / "a" / f"{i}.{suffix}", (200, 100, 50))
    path = tmp_path / "a" / f"1.{suffix}"
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    message = ""
    try:
        (x, _), _ = image_folder(tmp_path, "numpy", mode="RGB", test_split=0.5)
    except DataError as error:
        message = str(error)
    assert f"1.{suffix}" in message if message else x.shape == (1, 3, 4, 6)


def test_animations_raise(folder):
    frames = [Image.new("RGB", (6, 4), (i, 0, 0)) for i in range(2)]
    frames[0].save(folder / "red" / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"moving.gif has 2 frames: wanted one image"):
        image_folder(folder, "numpy")


def test_images_beyond_the_limit_of_pillow(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match=r"0.png is too large"):
        image_folder(folder, "numpy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "rgb"}, "mode is 'rgb': wanted 'L' for gray or 'RGB'"),
        ({"size": 32}, r"size is 32: wanted \(height, width\)"),
        ({"size": (32, 0)}, r"size is \(32, 0\): wanted"),
        ({"test_split": 1.0}, "test_split is 1.0: wanted a share above 0 and below 1"),
        ({"test_split": True}, "test_split is True: wanted a share"),
    ],
)
def test_wrong_arguments_raise(folder, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        image_folder(folder, "numpy", **arguments)


def test_folders_without_classes_raise(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*none"):
        image_folder(tmp_path / "none", "numpy")
    with pytest.raises(DataError, match="has no folders: wanted one for each class"):
        image_folder(tmp_path, "numpy")
    save(tmp_path / "a" / "1.png")
    with pytest.raises(DataError, match="of 1 rows: there must be one or more rows to train on"):
        image_folder(tmp_path, "numpy")


def test_missing_pillow_raises(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingPackageError, match="pip install pillow"):
        image_folder(folder, "numpy")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the user may read any file")
def test_unreadable_file_raises(folder):
    (folder / "red" / "0.png").chmod(0)
    with pytest.raises(DataError, match=r"0.png is no image"):
        image_folder(folder, "numpy")


def test_palette_with_transparent_colors(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / name / "1.png", 0, mode="P", transparency=b"\x00\x80")
    dataset = image_folder(tmp_path, "numpy", mode="RGB")
    assert host(dataset.train[0]).max() == 0.0
