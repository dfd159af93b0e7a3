"""A network in a table: each layer, the shapes of its parameters, and how many numbers they hold."""

import html
import math
from dataclasses import dataclass

from anynet.array import is_array
from anynet.layers.module import Module, Parameter


@dataclass(frozen=True)
class Row:
    """One layer: its path, its class, the shapes of its own parameters by name, and their count."""

    path: str
    kind: str
    shapes: dict[str, tuple[int, ...]]

    @property
    def count(self) -> int:
        """How many numbers the parameters hold."""
        return sum(map(math.prod, self.shapes.values()))


class Summary:
    """The table of a network; a string in a terminal, a table in a notebook."""

    def __init__(self, net: Module) -> None:
        self.rows = [
            Row(path or "(network)", type(module).__name__, shapes)
            for path, module in net.modules()
            if (shapes := _shapes(module)) or len(module.modules()) == 1
        ]

    @property
    def count(self) -> int:
        """How many numbers all parameters hold."""
        return sum(row.count for row in self.rows)

    def _cells(self) -> list[tuple[str, str, str, str]]:
        return [
            (row.path, row.kind, ", ".join(f"{name} {shape}" for name, shape in row.shapes.items()), f"{row.count:,}")
            for row in self.rows
        ]

    def __str__(self) -> str:
        cells = [("layer", "kind", "parameters", "count"), *self._cells(), ("total", "", "", f"{self.count:,}")]
        widths = [max(len(row[i]) for row in cells) for i in range(4)]
        return "\n".join(
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in cells
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{title}</th>" for title in ("layer", "kind", "parameters", "count"))
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
            for row in [*self._cells(), ("total", "", "", f"{self.count:,}")]
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def summary(net: Module) -> Summary:
    """Return the table of a network's layers with the shapes and counts of their parameters."""
    return Summary(net)


def _shapes(module: Module) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(value.shape) for name, value in vars(module).items() if is_array(value) or type(value) is Parameter
    }
