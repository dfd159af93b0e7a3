"""Callbacks of `anynet.fit`: objects with methods that it calls at named moments of a run."""

from anynet.training.callbacks.callback import Callback

__all__ = ["Callback"]
