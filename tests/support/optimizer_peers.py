"""Optimizers to compare with, in float64: PyTorch's, and those of papers written in plain NumPy."""

import numpy as np


class TorchPeer:
    """One or more optimizers of PyTorch's, each for some of the parameters."""

    def __init__(self, start, *groups):
        """Take (names of parameters, optimizer's class, settings) for each group."""
        import torch

        self.torch = torch
        self.parameters = {
            name: torch.asarray(np.array(x)).requires_grad_() for name, x in start.items()
        }
        self.optimizers = [
            kind([self.parameters[name] for name in names], lr=1.0, **settings)
            for names, kind, settings in groups
        ]

    def step(self, gradients, *rates, max_norm=None):
        for name, x in self.parameters.items():
            gradient = gradients.get(name)
            x.grad = None if gradient is None else self.torch.asarray(np.array(gradient))
        if max_norm is not None:
            self.torch.nn.utils.clip_grad_norm_(self.parameters.values(), max_norm)
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()

    def values(self):
        return {name: x.detach().numpy() for name, x in self.parameters.items()}


class PaperPeer:
    """An optimizer of a paper, for each parameter: ``change(parameter, gradient, state, rate)``."""

    def __init__(self, start, change):
        self.parameters = {name: np.array(x) for name, x in start.items()}
        self.state = {name: {"t": 0, "m": 0.0, "v": 0.0} for name in start}
        self.change = change

    def step(self, gradients, rate):
        for name, gradient in gradients.items():
            if gradient is not None:
                state = self.state[name]
                state["t"] += 1
                self.parameters[name] = self.change(self.parameters[name], gradient, state, rate)

    def values(self):
        return self.parameters


def lion(beta1, beta2, weight_decay):
    """Chen et al. 2023, algorithm 2."""

    def change(theta, g, state, eta):
        c = beta1 * state["m"] + (1 - beta1) * g
        theta = theta - eta * (np.sign(c) + weight_decay * theta)
        state["m"] = beta2 * state["m"] + (1 - beta2) * g
        return theta

    return change


def lamb(beta1, beta2, eps, weight_decay):
    """You et al. 2020, algorithm 2, where φ is the identity."""

    def change(x, g, state, eta):
        state["m"] = beta1 * state["m"] + (1 - beta1) * g
        state["v"] = beta2 * state["v"] + (1 - beta2) * g**2
        m = state["m"] / (1 - beta1 ** state["t"])
        v = state["v"] / (1 - beta2 ** state["t"])
        r = m / (np.sqrt(v) + eps)
        step = r + weight_decay * x
        norms = np.linalg.norm(x), np.linalg.norm(step)
        trust = norms[0] / norms[1] if all(norms) else 1.0
        return x - eta * trust * step

    return change
