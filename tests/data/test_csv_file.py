"""CSV files."""

import csv
import io

import numpy as np
import pytest
from helpers import host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anynet.data import read_csv
from anynet.errors import ArgumentError, DataError

IRIS = """\
length,width,species
5.1,3.5,setosa
7.0,3.2,versicolor
6.3,3.3,virginica
5.0,3.6,setosa
"""


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def every(dataset):
    """Return all rows in one order."""
    (x, t), (x_test, t_test) = dataset
    x, t = np.concatenate([host(x), host(x_test)]), np.concatenate([host(t), host(t_test)])
    order = np.lexsort(x.T)
    return x[order], t[order]


def test_texts_are_classes(backend, write):
    dataset = read_csv(write(IRIS), backend, target="species", test_split=0.5)
    assert (dataset.train[0].shape, dataset.test[0].shape) == ((2, 2), (2, 2))
    assert dataset.train[0].dtype == backend.xp.float32
    assert dataset.train[1].dtype == backend.xp.int32
    assert dataset.classes == ("setosa", "versicolor", "virginica")
    x, t = every(dataset)
    wanted = [[7.0, 3.2], [6.3, 3.3], [5.1, 3.5], [5.0, 3.6]]
    np.testing.assert_array_equal(x, np.asarray(wanted, "float32"))
    assert t.tolist() == [1, 2, 0, 0]


def test_numbers_are_targets(backend, write):
    dataset = read_csv(write(IRIS), backend, target="length", features=["width"])
    assert dataset.train[1].dtype == backend.xp.float32
    x, t = every(dataset)
    assert (x.shape, t.shape) == ((4, 1), (4, 1))
    np.testing.assert_array_equal(t[:, 0], np.asarray([7.0, 6.3, 5.1, 5.0], "float32"))
    assert dataset.classes == ()


@pytest.mark.parametrize(
    ("classes", "labels", "names"),
    [
        (None, [2, 10, 2, 10], ()),
        (True, [0, 1, 0, 1], ("2", "10")),
        (False, [[2.0], [10.0], [2.0], [10.0]], ()),
    ],
)
def test_whole_numbers_as_targets(write, classes, labels, names):
    path = write("a,b\n1,2\n2,10\n3,2\n4,10\n")
    dataset = read_csv(path, "numpy", target=-1, classes=classes)
    assert every(dataset)[1].tolist() == labels
    assert dataset.classes == names


def test_columns_without_a_header(write):
    path = write("1;5\n2;6\n3;7\n")
    dataset = read_csv(path, "numpy", target=0, header=False, delimiter=";")
    x, t = every(dataset)
    assert (x.tolist(), t.tolist()) == ([[5.0], [6.0], [7.0]], [1, 2, 3])


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("utf-8-sig", "utf-8"),
        ("utf-8-sig", "UTF_8"),
        ("cp932", "cp932"),
        ("utf-16", "utf-16"),
    ],
)
def test_encodings(write, written, given):
    """A file of Excel begins with a mark."""
    path = write("長さ,種類\n1.5,猫\n2.5,犬\n", written)
    dataset = read_csv(path, "numpy", target="種類", encoding=given, test_split=0.5)
    assert dataset.classes == ("犬", "猫")


def test_quotes_blank_lines_and_spaces(write):
    path = write('a, "b"\r\n\r\n 1.5 , "x, y"\r\n2e1,"two\nlines"\r\n')
    dataset = read_csv(path, "numpy", target="b", test_split=0.5)
    assert dataset.classes == ("two\nlines", "x, y")
    assert every(dataset)[0].tolist() == [[1.5], [20.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n,3\n", "line 3: no value in the column 'a'; fill it in or remove the row"),
        ("a,b\n1,2\nNaN,3\n", r"line 3: a missing value \('NaN'\) in the column 'a'"),
        ("a,b\n1,?\n2,3\n", r"line 2: a missing value \('\?'\) in the column 'b'"),
        ("a,b\n1,2\nx,3\n", "line 3: 'x' in the column 'a' is no number of float32"),
        ("a,b\n1_000,2\n1,3\n", "line 2: '1_000' in the column 'a' is no number"),
        ("a,b\n1e39,2\n1,3\n", "line 2: '1e39' in the column 'a' is no number of float32"),
        ("a,b\ninf,2\n1,3\n", "line 2: 'inf' in the column 'a' is no number"),
        ('a,b\n1,1.5\n2,"1,5"\n', "line 3: '1,5' in the column 'b' is no number, "),
        ("a,b\n1,None\n2,1\n", "line 2: 'None' in .*; correct it, or give classes=True"),
        ("a,b\n0x1F,2\n1,3\n", "line 2: '0x1F' in the column 'a' is no number"),
        ("a,b\n\n1,2\n3\n", "line 4: 1 values, and the first row has 2; the delimiter is ','"),
        ("a,b\n1,2,3\n", "line 2: 3 values"),
        ("a;b\n1;2\n3;4\n", "has one column, 'a;b': wanted .*; the delimiter is ','"),
        ("a,a\n1,2\n", "has the column 'a' twice: rename one of them"),
        ("a,b\n", "has a header and no rows"),
        ("", "is empty: wanted rows of values"),
        ('a,b\n1,"2\n', "is no CSV file, or a damaged one"),
        ("a,b\n1,2\n", "test_split is 0.2, of 1 rows: there must be one or more rows"),
    ],
)
def test_wrong_files_raise_with_the_line(write, text, message):
    with pytest.raises(DataError, match=message):
        read_csv(write(text), "numpy", target=-1)


def test_wrong_encodings_raise(write):
    path = write("長さ,b\n1,2\n", "cp932")
    with pytest.raises(DataError, match=r"is not in the encoding utf-8 .*: give encoding="):
        read_csv(path, "numpy", target="b")
    with pytest.raises(ArgumentError, match="encoding is 'latin-99': unknown encoding"):
        read_csv(path, "numpy", target="b", encoding="latin-99")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "specie"}, r"target is 'specie'.*species.*: .* has the columns length, width"),
        ({"target": 3}, "target is 3: .* has 3 columns"),
        ({"target": 1.0}, "target is 1.0: wanted the name or the index of a column"),
        ({"target": "species", "features": ["species"]}, "wanted one or more other columns"),
        ({"target": "species", "features": "length"}, "features is 'length': wanted a list"),
        ({"target": "species", "features": 0}, "features is 0: wanted a list of columns"),
        ({"target": "species", "encoding": None}, "encoding is None: wanted a name"),
        ({"target": "species", "features": []}, "wanted one or more other columns"),
        ({"target": "species", "delimiter": "::"}, "delimiter is '::': wanted one character"),
        ({"target": "species", "test_split": 0}, "test_split is 0: wanted a share"),
    ],
)
def test_wrong_arguments_raise(write, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        read_csv(write(IRIS), "numpy", **arguments)


def test_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_csv(tmp_path / "none.csv", target=0)


FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(
    rows=st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3
        ),
        min_size=2,
        max_size=8,
    ),
    seed=st.integers(0, 3),
)
def test_values_are_those_that_were_written(tmp_path, rows, seed):
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c"], *rows])
    dataset = read_csv(path, "numpy", target="c", classes=False, seed=seed)
    x, t = every(dataset)
    table = np.asarray(rows, "float32")
    found = sorted(map(tuple, np.concatenate([x, t], axis=1).tolist()))
    assert found == sorted(map(tuple, table.tolist()))


@FUZZ
@given(content=st.binary(max_size=60))
def test_any_bytes_give_a_data_set_or_a_typed_error(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    try:
        dataset = read_csv(path, "numpy", target=0, features=[1])
    except (DataError, ArgumentError):
        return
    assert np.isfinite(every(dataset)[0]).all()


def test_values_agree_with_numpy(write):
    text = "a,b,c\n" + "\n".join(f"{i / 7},{i**3},{-i}e-3" for i in range(9))
    x, t = every(read_csv(write(text), "numpy", target="c"))
    wanted = np.genfromtxt(io.StringIO(text), delimiter=",", skip_header=1, dtype="float32")
    wanted = wanted[np.lexsort(wanted[:, :2].T)]
    np.testing.assert_allclose(np.concatenate([x, t], axis=1), wanted, rtol=1e-6)
