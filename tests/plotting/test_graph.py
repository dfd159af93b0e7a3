"""The computation graph has the operations that run, and its SVG image shows all of them."""

from xml.etree import ElementTree

import numpy as np
import pytest

import anynet
from anynet import layers, losses, plotting
from anynet.errors import ArgumentError, ArgumentTypeError, CompilationError

SVG = "{http://www.w3.org/2000/svg}"


def shop(apple, apples, orange, oranges, tax):
    return (apple * apples + orange * oranges) * tax


def names(graph):
    return [node.name for node in graph.nodes]


def texts(graph):
    root = ElementTree.fromstring(graph.svg)
    return [text.text for text in root.iter(f"{SVG}text")]


def boxes(graph):
    """Return (left, top, right, bottom) of the box of every node."""
    root = ElementTree.fromstring(graph.svg)
    rectangles = [group.find(f"{SVG}rect") for group in root.iter(f"{SVG}g")]
    sides = [[float(r.get(name)) for name in ("x", "y", "width", "height")] for r in rectangles]
    return [(x, y, x + width, y + height) for x, y, width, height in sides]


def check_layout(graph):
    root = ElementTree.fromstring(graph.svg)
    left, top, width, height = map(float, root.get("viewBox").split())
    every = boxes(graph)
    assert len(every) == len(graph.nodes)
    for i, (x1, y1, x2, y2) in enumerate(every):
        assert left < x1 < x2 < left + width
        assert top < y1 < y2 < top + height
        for u1, v1, u2, v2 in every[:i]:
            assert x2 < u1 or u2 < x1 or y2 < v1 or v2 < y1


def test_apples_and_oranges_have_the_values_of_the_book():
    graph = plotting.computation_graph(shop, 100.0, 2.0, 150.0, 3.0, 1.1)
    assert names(graph)[-4:] == ["multiply", "multiply", "add", "multiply"]
    assert [node.value for node in graph.nodes][-4:] == ["200", "450", "650", "715"]
    edges = {(i, j) for j, node in enumerate(graph.nodes) for i in node.inputs}
    assert edges == {(0, 5), (1, 5), (2, 6), (3, 6), (5, 7), (6, 7), (7, 8), (4, 8)}
    assert graph.results == [8]
    assert {"apple", "tax", "1.1", "multiply", "715"} <= {*texts(graph)}
    check_layout(graph)


def test_network_has_its_layers_and_parameters(backend):
    net = layers.Sequential(
        layers.Conv2d(1, 4, 3),
        layers.BatchNorm(4),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Linear(4 * 3 * 3, 2),
        seed=0,
        backend=backend,
    ).freeze("layers.0")
    x = backend.asarray(np.ones((5, 1, 8, 8), dtype="float32"))
    before = {path: id(x) for path, x in anynet.tree.leaves(net)}
    graph = plotting.computation_graph(net, x)
    assert {path: id(x) for path, x in anynet.tree.leaves(net)} == before
    assert not net.training
    assert {node.name for node in graph.nodes if node.kind == "argument"} == {"x", *before}
    layer = {node.path: node for node in graph.nodes if node.path}
    assert layer["layers.0"].name == "conv2d"
    assert layer["layers.0"].shapes == ((5, 4, 6, 6),)
    assert layer["layers.2"].name == "relu"
    assert layer["layers.3"].shapes == ((5, 4, 3, 3),)
    assert layer["layers.5"].shapes == ((5, 2),)
    check_layout(graph)


@pytest.mark.parametrize("compile", [False, True])
def test_function_of_a_network(backend, compile):
    net = layers.Sequential(layers.Linear(3, 2), seed=0, backend=backend)
    x = backend.asarray(np.ones((4, 3), dtype="float32"))
    t = backend.asarray(np.asarray([0, 1, 1, 0]))

    def loss(net, x, t):
        return losses.cross_entropy(net(x), t)

    graph = plotting.computation_graph(anynet.compile(loss) if compile else loss, net, x, t)
    assert names(graph)[-2:] == ["affine", "softmax_cross_entropy"]
    assert float(graph.nodes[-1].value) == pytest.approx(float(loss(net, x, t)), rel=1e-4)
    assert "net.layers.0.weight" in names(graph)


def test_tied_weights_are_one_argument():
    net = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend="numpy")
    net[1].weight = net[0].weight
    graph = plotting.computation_graph(net, np.ones((1, 3), dtype="float32"))
    weights = [node for node in graph.nodes if node.name.endswith("weight")]
    assert [node.name for node in weights] == ["layers.0.weight"]


def test_derivative_has_a_graph():
    graph = plotting.computation_graph(anynet.grad(lambda x: (x**3).sum()), np.ones(2))
    assert "multiply" in names(graph)
    assert graph.nodes[0].name == "x"


def test_operations_with_settings_constants_and_several_results():
    def f(x, **named):
        xp = x.__array_namespace__()
        first, second = xp.unstack(named["y"] * np.ones(2))
        unused = xp.exp(x)
        return {"sum": xp.sum(x[:2], axis=0) - first, "one": 1 - second, "unused": unused.shape}

    graph = plotting.computation_graph(f, np.ones((3, 4)), y=np.ones(2))
    assert "exp" not in names(graph)
    assert {"getitem(·, :2)", "sum(·, axis=0)", "subtract(1, ·)", "constant", "y"} <= {
        *texts(graph)
    }
    assert len(graph.results) == 2
    check_layout(graph)


def test_long_graph_goes_down_and_a_short_one_across():
    def repeat(count):
        def f(x):
            for _ in range(count):
                x = x + x * 0.5
            return x

        return f

    for count, across in ((2, True), (30, False)):
        graph = plotting.computation_graph(repeat(count), np.zeros(2))
        check_layout(graph)
        first, *_, last = boxes(graph)
        assert (last[0] > first[2]) is across
        assert (last[1] > first[3]) is not across


def points_of(path):
    """Return points along a path of cubic curves."""
    first, *curves = path.get("d").removeprefix("M").split("C")
    points = [np.asarray(first.split(), dtype=float)]
    share = np.linspace(0, 1, 9)[:, None]
    for curve in curves:
        one, two, end = np.asarray(curve.split(), dtype=float).reshape(3, 2)
        start = points[-1]
        rest = 1 - share
        points += [
            *(rest**3 * start + 3 * rest**2 * share * one + 3 * rest * share**2 * two)
            + share**3 * end
        ]
    return np.asarray(points)


def test_lines_do_not_cross_boxes():
    graph = plotting.computation_graph(
        layers.LSTM(3, 4).initialize(0, "numpy"), np.ones((2, 4, 3), dtype="float32")
    )
    check_layout(graph)
    paths = [*ElementTree.fromstring(graph.svg).iter(f"{SVG}path")]
    assert len(paths) == len({(i, j) for j, node in enumerate(graph.nodes) for i in node.inputs})
    for path in paths:
        x, y = points_of(path).T
        for left, top, right, bottom in boxes(graph):
            inside = (left + 1 < x) & (x < right - 1) & (top + 1 < y) & (y < bottom - 1)
            assert not inside.any()


def test_graph_of_a_compiled_network_has_its_parameters():
    net = layers.Sequential(layers.Linear(3, 2), seed=0, backend="numpy")
    x = np.ones((4, 3), dtype="float32")
    compiled = anynet.compile(net)
    compiled(x)
    assert names(plotting.computation_graph(compiled, x)) == names(
        plotting.computation_graph(net, x)
    )


def test_text_is_escaped_and_described():
    def attack(x):
        return x + x

    attack.__name__ = '<script>"&'
    attack.__signature__ = None
    graph = plotting.computation_graph(attack, np.ones(2))
    assert "<script>" not in graph.svg
    root = ElementTree.fromstring(graph.svg)
    assert root.get("role") == "img"
    assert root.get("aria-label").startswith('computation graph of <script>"&: 1 argument')
    assert root.find(f"{SVG}title").text == root.get("aria-label")
    net = {"<b>": np.ones(2)}
    assert "&lt;b&gt;" in plotting.computation_graph(lambda p: p["<b>"] * 2, net).svg


def test_graph_is_saved_and_shown(tmp_path):
    graph = plotting.computation_graph(lambda x: x * x, np.ones(2))
    graph.save(tmp_path / "graphs" / "graph.svg")
    text = (tmp_path / "graphs" / "graph.svg").read_text(encoding="utf-8")
    assert text == graph.svg == graph._repr_svg_() == graph._repr_html_()


def test_wrong_arguments_raise():
    with pytest.raises(ArgumentTypeError, match=r"^f is 3: wanted a function"):
        plotting.computation_graph(3)
    with pytest.raises(ArgumentError, match=r"^shop has no array among its arguments: wanted arr"):
        plotting.computation_graph(shop, 1, 2, 3, 4, 5)
    with pytest.raises(ArgumentError, match=r"^<lambda> returns no array that depends on its arg"):
        plotting.computation_graph(lambda x: x.shape, np.ones(2))
    with pytest.raises(CompilationError, match=r"^bool\(\) of Traced.*would make the graph depend"):
        plotting.computation_graph(lambda x: x if x > 0 else -x, 1.0)


def test_japanese_names_fit_into_their_boxes():
    def 買い物(りんご, 個数):
        return りんご * 個数

    graph = plotting.computation_graph(買い物, 100.0, 2.0)
    assert names(graph) == ["りんご", "個数", "multiply"]
    left, _, right, _ = boxes(graph)[0]
    # A wide character is as wide as the font is high.
    assert right - left > 3 * 13
