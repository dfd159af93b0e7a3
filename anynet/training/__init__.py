"""Training: `anynet.fit`, `anynet.evaluate`, the history of a run, progress and checkpoints."""

from anynet.training import checkpoint
from anynet.training.evaluation import evaluate
from anynet.training.fit import on_rows, training_step
from anynet.training.history import Epoch, History

__all__ = [
    "Epoch",
    "History",
    "checkpoint",
    "evaluate",
    "on_rows",
    "training_step",
]
