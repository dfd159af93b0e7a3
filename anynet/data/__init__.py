"""Data: files, data sets, mini-batches and augmentation."""

import importlib
from typing import TYPE_CHECKING, Any

from anynet.data.augment import (
    compose,
    cutmix,
    mixup,
    random_affine,
    random_crop,
    random_erase,
    random_flip,
    random_resized_crop,
    random_rotate,
    random_scale,
    random_shift,
)
from anynet.data.cifar10 import load_cifar10
from anynet.data.csv_file import read_csv
from anynet.data.dataset import Dataset
from anynet.data.digits import load_digits
from anynet.data.emnist import load_emnist
from anynet.data.fashion_mnist import load_fashion_mnist
from anynet.data.idx import read_idx, write_idx
from anynet.data.idx_pairs import load_idx_pairs
from anynet.data.image_folder import image_folder
from anynet.data.kmnist import load_kmnist
from anynet.data.loader import Loader, random_batch
from anynet.data.mnist import load_mnist
from anynet.data.points import moons, spiral

if TYPE_CHECKING:
    from anynet.data import pickled

__all__ = [
    "Dataset",
    "Loader",
    "compose",
    "cutmix",
    "image_folder",
    "load_cifar10",
    "load_digits",
    "load_emnist",
    "load_fashion_mnist",
    "load_idx_pairs",
    "load_kmnist",
    "load_mnist",
    "mixup",
    "moons",
    "pickled",
    "random_affine",
    "random_batch",
    "random_crop",
    "random_erase",
    "random_flip",
    "random_resized_crop",
    "random_rotate",
    "random_scale",
    "random_shift",
    "read_csv",
    "read_idx",
    "spiral",
    "write_idx",
]


# Type checkers find the name above, and report all others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "pickled":
            # Imported when it is first used, because few programs read pickles.
            return importlib.import_module("anynet.data.pickled")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
