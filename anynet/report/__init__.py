"""Reports: a training run on one page of HTML."""

from anynet.report.write import write

__all__ = ["write"]
