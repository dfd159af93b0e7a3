"""Callbacks of `anynet.fit`: objects with methods that it calls at named moments of a run."""

from anynet.callbacks.best_weights import BestWeights
from anynet.callbacks.csv_log import CSVLog
from anynet.callbacks.early_stopping import EarlyStopping
from anynet.callbacks.histograms import Histograms
from anynet.callbacks.json_lines_log import JSONLinesLog
from anynet.callbacks.lambda_callback import LambdaCallback
from anynet.callbacks.live_plot import LivePlot
from anynet.callbacks.save_best import SaveBest
from anynet.callbacks.tensorboard import TensorBoard
from anynet.training.callback import Callback

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
