"""Augmentation: random changes of a batch, on its device, the same on every library."""

from anynet.data.augment.affine import (
    random_affine,
    random_rotate,
    random_scale,
    sample,
)
from anynet.data.augment.call import Augmentation, with_labels
from anynet.data.augment.compose import compose
from anynet.data.augment.crop import (
    random_crop,
    random_resized_crop,
    random_shift,
)
from anynet.data.augment.erase import random_erase
from anynet.data.augment.flip import random_flip
from anynet.data.augment.mixing import cutmix, mixup

__all__ = [
    "Augmentation",
    "compose",
    "cutmix",
    "mixup",
    "random_affine",
    "random_crop",
    "random_erase",
    "random_flip",
    "random_resized_crop",
    "random_rotate",
    "random_scale",
    "random_shift",
    "sample",
    "with_labels",
]
