"""Data sets that others publish, with small files under their names, and their checksums."""

import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from helpers import host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anynet.data import (
    cifar10,
    emnist,
    fashion_mnist,
    kmnist,
    load_cifar10,
    load_emnist,
    load_fashion_mnist,
    load_kmnist,
    load_mnist,
    mnist,
    write_idx,
)
from anynet.data.download import Checksum, cache_folder
from anynet.errors import ArgumentError, DataError

SHA256 = re.compile("[0-9a-f]{64}")


def checksum(path):
    return Checksum(hashlib.sha256(path.read_bytes()).hexdigest())


def use(monkeypatch, module, folder, mirrors=()):
    """Let the files in a folder be those of a data set."""
    files = {name: checksum(folder / name) for name in module.SOURCE.files}
    monkeypatch.setattr(module, "SOURCE", replace(module.SOURCE, files=files, mirrors=mirrors))


@pytest.mark.parametrize("module", [mnist, fashion_mnist, kmnist, emnist, cifar10])
def test_descriptions_are_complete(module):
    source = module.SOURCE
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in source.mirrors)
    for known in source.files.values():
        digests = [digest for digest in (known.file, known.contents) if digest]
        assert digests
        assert all(map(SHA256.fullmatch, digests))


# Fashion-MNIST and KMNIST, which have the form and the file names of MNIST.

IDX_SETS = [(fashion_mnist, load_fashion_mnist), (kmnist, load_kmnist)]


def write_images(folder, seed=0):
    generator = np.random.default_rng(seed)
    for part, count in (("train", 5), ("t10k", 3)):
        images = generator.integers(0, 256, (count, 28, 28), "uint8")
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(
            folder / f"{part}-labels-idx1-ubyte.gz", generator.integers(0, 10, count, "uint8")
        )


@pytest.mark.parametrize(("module", "load"), IDX_SETS)
def test_images_labels_and_classes(backend, tmp_path, no_data, monkeypatch, module, load):
    folder = tmp_path / module.SOURCE.folder / "raw"
    write_images(folder)
    use(monkeypatch, module, folder)
    monkeypatch.setenv("ANYNET_DATA_DIR", str(tmp_path))
    dataset = load(backend, flat=False)
    (x, t), test = dataset
    assert (x.shape, t.shape, test[0].shape) == ((5, 1, 28, 28), (5,), (3, 1, 28, 28))
    assert (x.dtype, t.dtype) == (backend.xp.float32, backend.xp.int32)
    raw = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    assert np.rint(host(x) * 255).astype("uint8").tobytes() == raw
    assert dataset.classes == module.CLASSES
    assert load(backend).train[0].shape == (5, 784)


def test_folders_of_sets_with_the_same_file_names(tmp_path, no_data, monkeypatch):
    """Folders of any spelling. MNIST's are in the root."""
    names = {"fashion-mnist": fashion_mnist, "KMNIST": kmnist, "": mnist}
    for seed, (name, module) in enumerate(names.items()):
        write_images(tmp_path / "data" / name, seed)
        use(monkeypatch, module, tmp_path / "data" / name)
    monkeypatch.setenv("ANYNET_DATA_DIR", str(tmp_path / "data"))
    sets = [load("numpy").train[0] for load in (load_fashion_mnist, load_kmnist, load_mnist)]
    assert all((a != b).any() for a, b in pairwise(sets))
    (tmp_path / "data" / "KMNIST").rename(tmp_path / "elsewhere")
    with pytest.raises(
        DataError, match=r"not KMNIST's train-images.* into a folder KMNIST beside it"
    ):
        load_kmnist("numpy")


def test_unpacked_file_that_cannot_be_checked(tmp_path, no_data, monkeypatch):
    """The published file beside it is read in its place."""
    folder = tmp_path / "KMNIST"
    write_images(folder)
    use(monkeypatch, kmnist, folder)
    for packed in list(folder.iterdir()):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    monkeypatch.setenv("ANYNET_DATA_DIR", str(tmp_path))
    assert load_kmnist("numpy").train[0].shape == (5, 784)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(
        DataError, match="an unpacked file cannot be checked, so keep the published"
    ):
        load_kmnist("numpy")


def test_cache_is_read_if_the_named_folder_lacks_the_files(tmp_path, no_data, monkeypatch):
    write_images(cache_folder() / "KMNIST")
    use(monkeypatch, kmnist, cache_folder() / "KMNIST")
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("ANYNET_DATA_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("ANYNET_OFFLINE", "1")
    assert load_kmnist("numpy").train[0].shape == (5, 784)


def test_download_of_an_archive(tmp_path, no_data, serve, monkeypatch, small_cifar10):
    """The first mirror has half of the file."""
    whole, half = tmp_path / "whole", tmp_path / "half"
    half.mkdir()
    content = (whole / cifar10.ARCHIVE).read_bytes()
    (half / cifar10.ARCHIVE).write_bytes(content[: len(content) // 2])
    addresses = [serve(folder)[0] for folder in (half, whole)]
    use(monkeypatch, cifar10, whole, tuple(addresses))
    assert load_cifar10("numpy").train[0].shape == (20, 3072)
    cached = cache_folder() / "CIFAR10" / cifar10.ARCHIVE
    assert cached.read_bytes() == content
    assert [path.name for path in cached.parent.iterdir()] == [cifar10.ARCHIVE]
    cached.write_bytes(content[:100])
    monkeypatch.setenv("ANYNET_OFFLINE", "1")
    with pytest.raises(DataError, match="or a partial or damaged one: its SHA-256 differs"):
        load_cifar10("numpy")
    monkeypatch.delenv("ANYNET_OFFLINE")
    assert load_cifar10("numpy").test[0].shape == (4, 3072)


@pytest.mark.parametrize(
    ("module", "load", "name"),
    [(kmnist, load_kmnist, "train-images-idx3-ubyte.gz"), (emnist, load_emnist, "gzip.zip")],
)
def test_error_without_a_network_says_where_to_put_the_file(
    no_data, monkeypatch, module, load, name
):
    monkeypatch.setenv("ANYNET_OFFLINE", "1")
    where = cache_folder() / module.SOURCE.folder
    message = f"{name} is not here and ANYNET_OFFLINE is set: put {name} into {where}"
    with pytest.raises(DataError, match=re.escape(message)):
        load(backend="numpy")


# EMNIST

SPLITS = {"letters": (1, 26), "balanced": (0, 46)}


def write_emnist(path, split="letters", labels=None, names=None):
    """Write an archive of images whose top left pixel is bright, and return the images."""
    first, last = SPLITS[split]
    images = np.random.default_rng(0).integers(0, 200, (4, 28, 28), "uint8")
    images[:, 0, 20] = 255
    labels = np.asarray([first, 7, 7, last] if labels is None else labels, "uint8")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in ("train", "test"):
            for what, data in (("images-idx3", np.swapaxes(images, 1, 2)), ("labels-idx1", labels)):
                name = f"gzip/emnist-{split}-{part}-{what}-ubyte.gz"
                file = path.parent / "file.gz"
                write_idx(file, np.ascontiguousarray(data))
                if names is None or name in names:
                    archive.writestr(name, file.read_bytes())
                file.unlink()
    return images


@pytest.fixture
def emnist_folder(tmp_path, no_data, monkeypatch):
    folder = tmp_path / "EMNIST"
    folder.mkdir()
    monkeypatch.setenv("ANYNET_DATA_DIR", str(tmp_path))
    return folder


@pytest.mark.parametrize("split", SPLITS)
def test_emnist_is_upright(backend, emnist_folder, monkeypatch, split):
    images = write_emnist(emnist_folder / "gzip.zip", split)
    use(monkeypatch, emnist, emnist_folder)
    dataset = load_emnist(split, backend, flat=False)
    (x, t), _ = dataset
    np.testing.assert_array_equal(np.rint(host(x)[:, 0] * 255), images)
    first, last = SPLITS[split]
    assert host(t).tolist() == [0, 7 - first, 7 - first, last - first]
    assert len(dataset.classes) == last - first + 1
    assert (x.dtype, t.dtype) == (backend.xp.float32, backend.xp.int32)


def test_classes_of_emnist():
    numbers = {name: len(split.classes) for name, split in emnist.SPLITS.items()}
    wanted = {"balanced": 47, "byclass": 62, "bymerge": 47, "digits": 10, "letters": 26}
    assert numbers == wanted | {"mnist": 10}
    with pytest.raises(ArgumentError, match="split is 'leters': wanted one of balanced, byclass"):
        load_emnist("leters")


def test_damaged_archives_of_emnist(emnist_folder, monkeypatch):
    path = emnist_folder / "gzip.zip"
    write_emnist(path, labels=[0, 1, 2, 3])
    use(monkeypatch, emnist, emnist_folder)
    with pytest.raises(DataError, match="has labels from 0 to 3: wanted 1 to 26"):
        load_emnist("letters", "numpy")
    with pytest.raises(DataError, match="holds no gzip/emnist-balanced-train-images"):
        load_emnist("balanced", "numpy")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="its SHA-256 differs; remove it and fetch it again"):
        load_emnist("letters", "numpy")
    use(monkeypatch, emnist, emnist_folder)
    with pytest.raises(DataError, match="is a damaged zip file"):
        load_emnist("letters", "numpy")


def test_zip_bomb_is_not_unpacked(emnist_folder, monkeypatch):
    path = emnist_folder / "gzip.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gzip/emnist-letters-train-images-idx3-ubyte.gz", b"\0" * 10**6)
    use(monkeypatch, emnist, emnist_folder)
    monkeypatch.setattr(emnist, "MAX_BYTES", 10**5)
    with pytest.raises(DataError, match="has 1,000,000 bytes: the limit is 100,000"):
        load_emnist("letters", "numpy")


# CIFAR-10


def write_cifar10(path, batches=None, images=4, first_label=0):
    """Write an archive in which pixel i of an image has the value of its label + i modulo 256."""
    batches = [*cifar10.TRAIN, cifar10.TEST] if batches is None else batches
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(__file__, "cifar-10-batches-bin/readme.html")
        for batch in batches:
            records = bytearray()
            for label in range(images):
                records += bytes([first_label + label])
                records += bytes((label + i) % 256 for i in range(3072))
            info = tarfile.TarInfo(batch)
            info.size = len(records)
            archive.addfile(info, io.BytesIO(bytes(records)))


@pytest.fixture
def small_cifar10(tmp_path, monkeypatch):
    """Let a file of the archive have four images."""
    monkeypatch.setattr(cifar10, "IMAGES", 4)
    write_cifar10(tmp_path / "whole" / cifar10.ARCHIVE)


def test_cifar10(backend, tmp_path, no_data, monkeypatch, small_cifar10):
    use(monkeypatch, cifar10, tmp_path / "whole")
    monkeypatch.setenv("ANYNET_DATA_DIR", str(tmp_path / "whole"))
    dataset = load_cifar10(backend, flat=False)
    (x, t), test = dataset
    assert (x.shape, test[0].shape) == ((20, 3, 32, 32), (4, 3, 32, 32))
    assert (x.dtype, t.dtype) == (backend.xp.float32, backend.xp.int32)
    assert host(t).tolist() == [0, 1, 2, 3] * 5
    # Image 3, channel 1, row 2, column 5.
    assert round(float(x[3, 1, 2, 5]) * 255) == (3 + 1024 + 2 * 32 + 5) % 256
    assert dataset.classes[1] == "automobile"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": 3}, r"data_batch_1.bin of 9,219 bytes: wanted 12,292"),
        ({"first_label": 7}, "has a damaged cifar-10-batches-bin/data_batch_1.bin: fetch it again"),
        ({"batches": cifar10.TRAIN}, "holds no cifar-10-batches-bin/test_batch.bin"),
        ({"batches": ["../../etc/data_batch_1.bin"]}, "holds no cifar-10-batches-bin/data_batch"),
    ],
)
def test_wrong_archives_of_cifar10(tmp_path, no_data, monkeypatch, settings, message):
    monkeypatch.setattr(cifar10, "IMAGES", 4)
    write_cifar10(tmp_path / "whole" / cifar10.ARCHIVE, **settings)
    use(monkeypatch, cifar10, tmp_path / "whole")
    monkeypatch.setenv("ANYNET_DATA_DIR", str(tmp_path / "whole"))
    with pytest.raises(DataError, match=message):
        load_cifar10("numpy")
    assert [path.name for path in (tmp_path / "whole").iterdir()] == [cifar10.ARCHIVE]


FUZZ = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def archives(tmp_path, small_cifar10):
    write_emnist(tmp_path / "gzip.zip")
    return {"emnist": tmp_path / "gzip.zip", "cifar10": tmp_path / "whole" / cifar10.ARCHIVE}


@pytest.mark.parametrize("read", ["emnist", "cifar10"])
@FUZZ
@given(data=st.data())
def test_damaged_archives_raise_typed_errors(tmp_path, archives, read, data):
    """Also if their checksum were right."""
    content = bytearray(archives[read].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(content)))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content if data.draw(st.booleans()) else content[:length])
    try:
        found = (
            emnist.read_split(damaged, "letters")
            if read == "emnist"
            else cifar10.read_batches(damaged)
        )
    except DataError:
        return
    assert len(found) == (4 if read == "emnist" else 6)
