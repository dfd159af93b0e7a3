"""Callbacks of `anynet.fit`: objects with methods that it calls at named moments of a run."""

from anynet.training.callbacks.best_weights import BestWeights
from anynet.training.callbacks.callback import Callback
from anynet.training.callbacks.csv_log import CSVLog
from anynet.training.callbacks.early_stopping import EarlyStopping
from anynet.training.callbacks.histograms import Histograms
from anynet.training.callbacks.json_lines_log import JSONLinesLog
from anynet.training.callbacks.lambda_callback import LambdaCallback
from anynet.training.callbacks.live_plot import LivePlot
from anynet.training.callbacks.save_best import SaveBest
from anynet.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "BestWeights",
    "CSVLog",
    "Callback",
    "EarlyStopping",
    "Histograms",
    "JSONLinesLog",
    "LambdaCallback",
    "LivePlot",
    "SaveBest",
    "TensorBoard",
]
