"""A layered layout of a directed graph without cycles.

Each node is in the layer after its last input, and inputs without inputs are just before their
first user. Long edges get a bend in each layer between. Layers are ordered by the mean position of
the neighbors, which leaves few crossings, and positions in a layer are the least-squares solution
for the means of the neighbors that keeps the order and the distances.

Source: Sugiyama, Tagawa & Toda, Methods for visual understanding of hierarchical system structures,
1981; Barlow & Brunk, The isotonic regression problem and its dual, 1972.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

Point = tuple[float, float]

#: Sweeps over all layers, down and up in turn.
_SWEEPS = 8


class Layout(NamedTuple):
    """The centers of the nodes, and the points of each edge. Layers follow each other along y."""

    centers: list[Point]
    edges: dict[tuple[int, int], list[Point]]


def arrange(
    inputs: Sequence[Sequence[int]],
    widths: Sequence[float],
    heights: Sequence[float],
    weights: Sequence[float],
    gap: float,
    layer_gap: float,
) -> Layout:
    """Return the layout of a graph.

    Args:
        inputs: the indices of the inputs of each node, all before the node.
        widths: of the nodes, along a layer.
        heights: of the nodes, across the layers.
        weights: of the nodes. Heavy ones are in straight lines, and light ones go where they leave
            room.
        gap: between two nodes of a layer.
        layer_gap: between two layers.

    >>> from anynet.plotting.layout import arrange
    >>> layout = arrange([(), (), (0, 1)], [10.0] * 3, [10.0] * 3, [1.0] * 3, 10.0, 20.0)
    >>> layout.centers
    [(-10.0, 5.0), (10.0, 5.0), (0.0, 35.0)]

    """
    ranks = _ranks(inputs)
    chains, ranks = _with_bends(inputs, ranks)
    count = len(ranks)
    up: list[list[int]] = [[] for _ in range(count)]
    down: list[list[int]] = [[] for _ in range(count)]
    for chain in chains.values():
        for source, target in pairwise(chain):
            up[target].append(source)
            down[source].append(target)
    layers = _ordered(_in_order_of_inputs(ranks, up, down), up, down)
    added = count - len(widths)
    xs = _positions(
        layers,
        up,
        down,
        [*widths, *[0.0] * added],
        [*weights, *[max(weights)] * added],
        gap,
    )
    tops = [0.0]
    thickness = [max([heights[n] for n in layer if n < len(heights)] or [0.0]) for layer in layers]
    for size in thickness:
        tops.append(tops[-1] + size + layer_gap)
    points = [(xs[n], tops[rank] + thickness[rank] / 2) for n, rank in enumerate(ranks)]
    edges = {}
    for edge, (source, *bends, target) in chains.items():
        edges[edge] = [points[source]]
        for bend in bends:
            # A line passes its layer straight, beside the boxes.
            top = tops[ranks[bend]]
            bottom = top + thickness[ranks[bend]]
            edges[edge] += [(xs[bend], top), (xs[bend], bottom)]
        edges[edge].append(points[target])
    return Layout(points[: len(widths)], edges)


def _ranks(inputs: Sequence[Sequence[int]]) -> list[int]:
    """Return the layer of each node."""
    ranks: list[int] = []
    for sources in inputs:
        ranks.append(max([ranks[i] + 1 for i in sources], default=0))
    first_user: dict[int, int] = {}
    for node, sources in enumerate(inputs):
        for source in sources:
            first_user[source] = min(first_user.get(source, ranks[node]), ranks[node])
    for node, rank in first_user.items():
        if not inputs[node]:
            ranks[node] = rank - 1
    return ranks


def _with_bends(
    inputs: Sequence[Sequence[int]],
    ranks: list[int],
) -> tuple[dict[tuple[int, int], list[int]], list[int]]:
    """Return the chain of nodes along each edge, and the layers of the nodes and the bends."""
    ranks = [*ranks]
    chains = {}
    for target, sources in enumerate(inputs):
        for source in dict.fromkeys(sources):
            first = len(ranks)
            ranks += range(ranks[source] + 1, ranks[target])
            chains[source, target] = [source, *range(first, len(ranks)), target]
    return chains, ranks


def _in_order_of_inputs(
    ranks: list[int],
    up: list[list[int]],
    down: list[list[int]],
) -> list[list[int]]:
    """Return the nodes of each layer as a walk from the results to their inputs meets them."""
    layers: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    seen: set[int] = set()
    waiting = [node for node in reversed(range(len(ranks))) if not down[node]]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            layers[ranks[node]].append(node)
            waiting += reversed(up[node])
    return layers


def _ordered(
    layers: list[list[int]],
    up: list[list[int]],
    down: list[list[int]],
) -> list[list[int]]:
    """Return the layers in an order with few crossings."""
    best, fewest = layers, _crossings(layers, up)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        neighbors = down if sweep % 2 else up
        layers = [[*layer] for layer in layers]
        place = {node: i for layer in layers for i, node in enumerate(layer)}
        for layer in reversed(layers) if sweep % 2 else layers:
            means = {n: _mean([place[m] for m in neighbors[n]], place[n]) for n in layer}
            layer.sort(key=means.__getitem__)
            place |= {node: i for i, node in enumerate(layer)}
        crossings = _crossings(layers, up)
        if crossings < fewest:
            best, fewest = layers, crossings
    return best


def _crossings(layers: list[list[int]], up: list[list[int]]) -> int:
    """Return how many pairs of edges cross: inversions, counted by insertion into a sorted list."""
    total = 0
    for above, layer in pairwise(layers):
        place = {node: i for i, node in enumerate(above)}
        seen: list[int] = []
        for node in layer:
            ends = [place[source] for source in up[node]]
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _positions(
    layers: list[list[int]],
    up: list[list[int]],
    down: list[list[int]],
    widths: Sequence[float],
    weights: Sequence[float],
    gap: float,
) -> list[float]:
    """Return the position of each node along its layer. The middle of the graph is near 0."""
    xs = [0.0] * len(widths)
    for sweep in range(2 * _SWEEPS + 1):
        neighbors = down if sweep % 2 else up
        for layer in reversed(layers) if sweep % 2 else layers:
            wanted = []
            for node in layer:
                pulls = [weights[other] for other in neighbors[node]]
                places = [
                    x * pull
                    for x, pull in zip([xs[m] for m in neighbors[node]], pulls, strict=True)
                ]
                wanted.append(sum(places) / sum(pulls) if pulls else xs[node])
            distances = [
                (widths[left] + widths[right]) / 2 + gap for left, right in pairwise(layer)
            ]
            for node, x in zip(
                layer, spread(wanted, distances, [weights[n] for n in layer]), strict=True
            ):
                xs[node] = x
    return xs


def spread(
    wanted: Sequence[float],
    distances: Sequence[float],
    weights: Sequence[float],
) -> list[float]:
    """Return the positions nearest to those wanted, in weighted least squares, that keep the order
    and the distances.

    >>> from anynet.plotting.layout import spread
    >>> spread([0.0, 0.0, 10.0], [2.0, 2.0], [1.0, 1.0, 1.0])
    [-1.0, 1.0, 10.0]

    """
    offsets = [*accumulate(distances, initial=0.0)]
    # The mean, the weight and the length of each run of neighbors that move as one.
    pools: list[tuple[float, float, int]] = []
    for x, offset, weight in zip(wanted, offsets, weights, strict=True):
        mean, count = x - offset, 1
        # These would be too near to each other, or in the wrong order.
        while pools and pools[-1][0] >= mean:
            other, heaviness, others = pools.pop()
            mean = (mean * weight + other * heaviness) / (weight + heaviness)
            weight, count = weight + heaviness, count + others
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
