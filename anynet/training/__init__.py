"""Training: steps, `fit`, `evaluate`, the history of a run, the display and checkpoints."""

from anynet.training import checkpoint
from anynet.training.evaluation import evaluate
from anynet.training.history import Epoch, History
from anynet.training.step import on_rows, training_step

__all__ = [
    "Epoch",
    "History",
    "checkpoint",
    "evaluate",
    "on_rows",
    "training_step",
]
