"""Activations of several pieces, each in one call."""

import torch
from torch.nn import functional

from anynet.kernel import Kernels

kernels = Kernels()


kernels["elu"] = functional.elu
kernels["leaky_relu"] = functional.leaky_relu
kernels["selu"] = torch.selu
