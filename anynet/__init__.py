"""anynet: neural networks written in the Array API standard."""

__version__ = "0.1.0"
