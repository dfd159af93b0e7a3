"""Data: files, data sets, mini-batches and augmentation."""

from anynet.data.augment import random_affine
from anynet.data.dataset import Dataset
from anynet.data.digits import load_digits
from anynet.data.idx import read_idx, write_idx
from anynet.data.idx_pairs import load_idx_pairs
from anynet.data.loader import Loader, random_batch
from anynet.data.mnist import load_mnist

__all__ = [
    "Dataset",
    "Loader",
    "load_digits",
    "load_idx_pairs",
    "load_mnist",
    "random_affine",
    "random_batch",
    "read_idx",
    "write_idx",
]
