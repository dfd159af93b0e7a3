"""Plots of training, data and networks, by matplotlib.

A function takes arrays of any backend and draws on the Axes that it is given as ``ax``, or on those
of a new figure. It returns the Axes, or a tuple of Axes if there are several panels. A notebook
shows them as a picture, ``ax.figure.savefig("plot.png")`` writes a file, and no screen is needed.
"""

from anynet.plotting.confusion import confusion_matrix
from anynet.plotting.curves import learning_curves
from anynet.plotting.distributions import histograms
from anynet.plotting.graph import ComputationGraph, computation_graph
from anynet.plotting.pictures import feature_maps, filters, images
from anynet.plotting.regions import decision_regions
from anynet.plotting.surface import loss_surface

__all__ = [
    "ComputationGraph",
    "computation_graph",
    "confusion_matrix",
    "decision_regions",
    "feature_maps",
    "filters",
    "histograms",
    "images",
    "learning_curves",
    "loss_surface",
]
