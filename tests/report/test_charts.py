import io
import math
import re

import numpy as np
import pytest
from html_pages import Page

from anynet.report.charts import MOST_POINTS, Axis, Curve, line_chart, scatter_chart, show
from anynet.report.html import element, join
from anynet.report.pictures import Picture, picture_of
from anynet.report.png import encode
from anynet.report.tables import MOST_ROWS, table

VALUES = [
    [0.0],
    [1.0, 1.0],
    [1e-320, 1e300],
    [-1e299, 1e299],
    [math.nan, 1.0, math.inf, 2.0, math.nan, 3.0],
    [1.0, 1.0 + 2e-16],
    [5.0, 0.0, -3.0],
    [1e-9, 1e-3, 10.0],
    [*range(10_000)],
]


@pytest.mark.parametrize("values", VALUES)
def test_points_are_inside_the_drawing(values):
    steps = [*range(1, len(values) + 1)]
    page = Page(line_chart("losses", [Curve("loss", steps, values)], "step", "loss", points=True))
    (chart,) = page.all("svg")
    assert chart["role"], chart["aria-label"] == ("img", "losses")
    _, _, width, height = map(float, chart["viewbox"].split())
    points = [(float(x["cx"]), float(x["cy"])) for x in page.all("circle")]
    assert 0 < len(points) <= MOST_POINTS
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


def test_no_finite_value_is_said():
    curve = Curve("loss", [1, 2], [math.nan, math.inf])
    assert "no finite values" in line_chart("losses", [curve], "step", "loss")
    assert "no finite values" in scatter_chart("points", [math.nan], [1.0], "x", "y")


def test_gap_splits_a_line():
    curve = Curve("loss", [1, 2, 3, 4, 5], [1.0, 2.0, math.nan, 3.0, 4.0])
    (line,) = [
        x["d"]
        for x in Page(line_chart("", [curve], "", "")).all("path")
        if "line" in x.get("class", "")
    ]
    assert line.count("M") == 2


def test_thinned_curve_keeps_the_mean():
    values = np.random.default_rng(0).random(4000).tolist()
    thin = Curve("loss", [*range(4000)], values).thinned()
    assert len(thin.y) == MOST_POINTS
    assert thin.y[0] == pytest.approx(np.mean(values[:10]))
    assert np.mean(thin.y) == pytest.approx(np.mean(values))


@pytest.mark.parametrize("low", [-7.3, 0.0, 1e-6, 123.0])
@pytest.mark.parametrize("width", [1e-5, 0.3, 1.0, 40.0, 9e7])
def test_axis_has_a_few_round_labels(low, width):
    axis = Axis([low, low + width], 0.0, 100.0)
    assert 2 <= len(axis.ticks) <= 9
    assert all(-1e-6 <= axis.position(tick) <= 100 + 1e-6 for tick in axis.ticks)


def test_large_ratio_has_a_logarithmic_axis():
    axis = Axis([0.001, 100.0], 0.0, 100.0)
    assert axis.is_logarithmic
    assert axis.position(1.0) == pytest.approx(60.0)
    assert axis.ticks == pytest.approx([0.001, 0.01, 0.1, 1.0, 10.0, 100.0])


def test_text_is_escaped_everywhere():
    bad = "\"><script>'&\x00\ud800"
    page = Page(join(element("p", bad, title=bad, class_=bad), bad))
    assert page.all("script") == []
    assert page.all("p")[0]["title"] == "\"><script>'&\ufffd\ufffd"
    assert "\ud800" not in page.source


def test_long_table_has_its_first_and_last_rows():
    rows = [[str(i), str(i * i)] for i in range(1000)]
    page = Page(table("squares", ("i", "square"), rows))
    assert len(page.rows) == MOST_ROWS + 2
    assert ["999", "998001"] in page.rows
    assert any("800 more" in row[0] for row in page.rows)
    assert all(x["scope"] in ("row", "col") for x in page.all("th"))


@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 3)])
def test_png_has_the_pixels(shape):
    image = pytest.importorskip("matplotlib.image", reason="needs matplotlib")
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    read = image.imread(io.BytesIO(encode(pixels)))
    np.testing.assert_array_equal(np.rint(read * 255).astype("uint8"), pixels)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 28, 28), "28 × 28"),
        ((3, 9, 12), "9 × 12"),
        ((28, 28), "28 × 28"),
        ((784,), "28 × 28"),
        ((2, 200, 100), "200 × 100"),
    ],
)
def test_images_are_recognized(shape, size):
    picture = picture_of(np.random.default_rng(0).random(shape))
    assert isinstance(picture, Picture)
    assert picture.size == size
    assert max(picture.pixels.shape[:2]) <= 64
    assert picture.pixels.dtype == "uint8"
    assert picture.pixels.max() > 200


@pytest.mark.parametrize(
    "row",
    [
        np.arange(784),
        np.random.default_rng(0).normal(size=64),
        np.ones(7),
        np.ones((3, 2, 2)),
        np.asarray(1.0),
        np.ones((28, 28), bool),
        np.ones((4, 4, 4, 4)),
    ],
)
def test_other_inputs_are_texts(row):
    assert isinstance(picture_of(row), str)


@pytest.mark.parametrize("values", [np.nan, np.inf, 0.0, -5.0])
def test_images_of_odd_values(values):
    picture = picture_of(np.full((8, 8), values))
    assert picture.pixels.max() - picture.pixels.min() == 0


def test_numbers_are_short():
    texts = [show(x) for x in (0.0, -3.0, 0.1 + 0.2, 1e6, 123456.0, math.nan, -math.inf)]
    assert texts == ["0", "-3", "0.3", "1e+06", "123,456", "NaN", "-inf"]
    assert not re.search("nan", "".join(texts))
