"""Activations of several pieces: PyTorch's own."""

import torch
from torch.nn import functional

from anynet.kernel import Aliasing, Kernels

kernels = Kernels()
kernels["elu"] = functional.elu
kernels["leaky_relu"] = functional.leaky_relu
kernels["selu"] = torch.selu
kernels.declare(Aliasing.FRESH, *kernels.values())
