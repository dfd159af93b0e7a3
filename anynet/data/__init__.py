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
from anynet.data.dataset import Dataset
from anynet.data.digits import load_digits
from anynet.data.idx import read_idx, write_idx
from anynet.data.idx_pairs import load_idx_pairs
from anynet.data.loader import Loader, random_batch
from anynet.data.mnist import load_mnist

if TYPE_CHECKING:
    from anynet.data import pickled

__all__ = [
    "Dataset",
    "Loader",
    "compose",
    "cutmix",
    "load_digits",
    "load_idx_pairs",
    "load_mnist",
    "mixup",
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
    "read_idx",
    "write_idx",
]


# Type checkers find the name above, and report all others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "pickled":
            # Imported when it is first used, because few programs read pickles.
            return importlib.import_module("anynet.data.pickled")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
