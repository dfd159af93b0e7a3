"""Data: files, data sets and mini-batches."""

from anynet.data.loader import Loader, random_batch

__all__ = ["Loader", "random_batch"]
