"""Figures and axes that a notebook shows as pictures, although they do not belong to pyplot.

Only this module imports matplotlib when it is loaded. The others import it inside functions.
"""

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure


class PlotFigure(Figure):
    """A figure that a notebook shows."""

    def _repr_png_(self) -> bytes:
        return png_of(self)


class PlotAxes(Axes):
    """Axes that a notebook shows, with all of their figure."""

    def _repr_png_(self) -> bytes:
        return png_of(self.figure)


def png_of(figure: Figure | SubFigure) -> bytes:
    """Return a figure, or the one around it, as the content of a PNG file."""
    image = io.BytesIO()
    # The figure of a figure is the outermost one.
    figure.figure.savefig(image, format="png")
    return image.getvalue()
