"""Images in folders, one folder for each class."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anynet.array import Array
from anynet.backend import Backend, get_backend
from anynet.data.dataset import Dataset
from anynet.data.split import check_share, split_dataset
from anynet.errors import ArgumentError, DataError, MissingPackageError

if TYPE_CHECKING:
    from PIL.Image import Image

#: The ends of names of images. Pillow recognizes the format by the content.
SUFFIXES = frozenset(
    ".bmp .gif .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()
)  # fmt: skip

#: The channels by the mode of an image.
CHANNELS = {"L": 1, "RGB": 3}

#: Modes whose values are bytes, which Pillow converts without a loss of range.
_BYTES = ("1", "CMYK", "HSV", "L", "LA", "LAB", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")


def image_folder(
    path: str | os.PathLike[str],
    backend: Backend | str | None = None,
    *,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    flat: bool = False,
    test_split: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Return the images of a folder: pixels float32 from 0 to 1, labels int32 (N,), and names of
    classes.

    The folder has a folder for each class, ``cats/1.png``, or the folders ``train`` and ``test``
    with the same classes. The classes are in alphabetical order. Hidden files are left out. A photo
    is turned as its camera says. All images are in memory.

    Args:
        path: the folder.
        backend: where the arrays go, see `anynet.get_backend`.
        size: (height, width), to which all images are scaled. By default, they have the same size.
        mode: ``"L"`` for gray or ``"RGB"`` for color, to which all images are converted. By
            default, they have the same of these modes.
        flat: images are (N, channels · height · width), otherwise (N, channels, height, width).
        test_split: the share of the images that are for testing, above 0 and below 1, if there are
            no folders ``train`` and ``test``.
        seed: chooses them.

    Raises:
        ArgumentError: an argument is out of range.
        DataError: there are no classes, a class has no images, a file is no image or is damaged, or
            the images differ in size or mode. The message names the file.
        MissingPackageError: Pillow is not installed.

    >>> import os, tempfile
    >>> from PIL import Image
    >>> from anynet.data import image_folder
    >>> path = tempfile.mkdtemp()
    >>> for name in ("cat", "dog"):
    ...     os.mkdir(f"{path}/{name}")
    ...     for i in range(5):
    ...         Image.new("RGB", (8, 6)).save(f"{path}/{name}/{i}.png")
    >>> dataset = image_folder(path, "numpy")
    >>> dataset.train[0].shape, dataset.test[0].shape, dataset.classes
    ((8, 3, 6, 8), (2, 3, 6, 8), ('cat', 'dog'))

    """
    check_share(test_split)
    reader = _Reader(size, mode)
    backend = get_backend(backend)
    root = Path(path).expanduser()
    parts = [folder for folder in (root / "train", root / "test") if folder.is_dir()]
    if len(parts) == 2 and len(_folders(root)) == 2:
        classes = [folder.name for folder in _classes(parts[0])]
        others = [folder.name for folder in _classes(parts[1])]
        if classes != others:
            raise DataError(
                f"{parts[0]} has the classes {', '.join(classes)} and {parts[1]} has "
                f"{', '.join(others)}: wanted the same"
            )
        train, test = [reader.read(part, backend, flat=flat) for part in parts]
        return Dataset(train, test, classes)
    names = tuple(folder.name for folder in _classes(root))
    x, t = reader.read(root, backend, flat=flat)
    return split_dataset(x, t, test_split, seed, names)


class _Reader:
    """Reads images of one size and mode.

    Args:
        size: (height, width), to which images are scaled, or None.
        mode: to which images are converted, or None.

    """

    def __init__(self, size: tuple[int, int] | None, mode: str | None) -> None:
        if mode is not None and mode not in CHANNELS:
            raise ArgumentError(f"mode is {mode!r}: wanted 'L' for gray or 'RGB' for color")
        self._check_size(size)
        self.size = size
        self.mode = mode
        #: The path, size and mode of the first image, which the others have too.
        self._first: tuple[Path, tuple[int, int], str] | None = None

    def _check_size(self, size: Any) -> None:
        is_pair = isinstance(size, Sequence) and len(size) == 2
        if size is not None and not (
            is_pair and all(isinstance(length, int) and length > 0 for length in size)
        ):
            raise ArgumentError(f"size is {size!r}: wanted (height, width), such as (32, 32)")

    def read(
        self,
        root: Path,
        backend: Backend,
        *,
        flat: bool,
    ) -> tuple[Array, Array]:
        """Return the images and labels of a folder of classes."""
        pixels = bytearray()
        labels: list[int] = []
        for label, folder in enumerate(_classes(root)):
            for file in _images(folder):
                pixels += self._pixels(file)
                labels.append(label)
        assert self._first is not None
        _, (height, width), mode = self._first
        xp = backend.xp
        shape = (len(labels), height, width, CHANNELS[mode])
        x = xp.reshape(backend.asarray(memoryview(pixels)), shape)
        x = xp.permute_dims(x, (0, 3, 1, 2))
        if flat:
            x = xp.reshape(x, (len(labels), -1))
        return xp.astype(x, xp.float32) / 255, backend.asarray(labels, dtype=xp.int32)

    def _pixels(self, file: Path) -> bytes:
        """Return the pixels of an image by rows, all channels of a pixel together."""
        image = _opened(file)
        if image.mode not in _BYTES:
            raise DataError(
                f"{file} has the mode {image.mode}, of more than 8 bits: convert it to L or RGB "
                "first"
            )
        if self.mode is not None:
            if "transparency" in image.info:
                # Pillow warns of a palette with transparent colors otherwise.
                image = image.convert("RGBA")
            image = image.convert(self.mode)
        elif image.mode not in CHANNELS:
            raise DataError(
                f"{file} has the mode {image.mode}: wanted L or RGB, to which mode='RGB' converts"
            )
        if self.size is not None:
            height, width = self.size
            image = image.resize((width, height))
        self._check(file, (image.height, image.width), image.mode)
        return image.tobytes()

    def _check(
        self,
        file: Path,
        size: tuple[int, int],
        mode: str,
    ) -> None:
        """Check that an image is like the first one."""
        if self._first is None:
            self._first = (file, size, mode)
        first, first_size, first_mode = self._first
        if size != first_size:
            raise DataError(
                f"{file} is of (height, width) {size} and {first} of {first_size}: give size="
                f"{first_size} to scale all images"
            )
        if mode != first_mode:
            raise DataError(
                f"{file} has the mode {mode} and {first} has {first_mode}: give mode='RGB' to "
                "convert all images"
            )


def _opened(file: Path) -> "Image":
    """Return an image in memory.

    Raises:
        DataError: the file is no image, or is damaged.
        MissingPackageError: Pillow is not installed.

    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise MissingPackageError(
            "images need Pillow, which is not installed: pip install pillow"
        ) from None
    try:
        with Image.open(file) as image:
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                raise DataError(f"{file} has {frames} frames: wanted one image")
            image.load()
            return ImageOps.exif_transpose(image)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{file} is too large: {error}") from error
    except Exception as error:
        # Pillow raises errors of many types for damaged files.
        raise DataError(
            f"{file} is no image, or a damaged one ({error}): remove or replace it"
        ) from error


def _classes(root: Path) -> list[Path]:
    """Return the folders of the classes in order.

    Raises:
        DataError: there are none, or there are files beside them.

    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    folders = _folders(root)
    if not folders:
        raise DataError(
            f"{root} has no folders: wanted one for each class, such as {root / 'cats'}"
        )
    return folders


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in _visible(root) if path.is_dir())


def _images(folder: Path) -> list[Path]:
    """Return the files of a class in order.

    Raises:
        DataError: there are none, or one is no image by its name.

    """
    files = sorted(_visible(folder))
    for file in files:
        if file.is_dir() or file.suffix.lower() not in SUFFIXES:
            raise DataError(
                f"{file} is no image by its name: wanted {', '.join(sorted(SUFFIXES))}; move or "
                "convert it"
            )
    if not files:
        raise DataError(f"{folder} has no images: remove the folder, or put images into it")
    return files


def _visible(folder: Path) -> list[Path]:
    """Return the contents of a folder without those that file managers make."""
    if not folder.is_dir():
        return []
    hidden = {"Thumbs.db", "desktop.ini", "__MACOSX"}
    return [path for path in folder.iterdir() if path.name[0] != "." and path.name not in hidden]
