"""Tables in CSV files. Format: RFC 4180, as Python's module csv reads it."""

import codecs
import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anynet.arguments import describe, listed
from anynet.array import Array
from anynet.backend import Backend, get_backend
from anynet.data.dataset import Dataset
from anynet.data.split import check_share, split_dataset
from anynet.errors import ArgumentError, ArgumentTypeError, DataError
from anynet.spelling import did_you_mean

#: Texts that stand for a missing value, in lower case.
MISSING = frozenset(("", "?", "na", "n/a", "nan", "null"))

#: The largest value of float32.
LARGEST = 3.4028235e38

#: Python's own conversion also takes "1_000".
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class _Table:
    """The rows of a file, with the line at which each ends."""

    path: Path
    names: list[str]
    rows: list[tuple[int, list[str]]]


def read_csv(
    path: str | os.PathLike[str],
    backend: Backend | str | None = None,
    *,
    target: str | int,
    features: Sequence[str | int] | None = None,
    classes: bool | None = None,
    delimiter: str = ",",
    header: bool = True,
    encoding: str = "utf-8",
    test_split: float = 0.2,
    seed: int = 0,
) -> Dataset:
    r"""Return the rows of a CSV file: features float32 (N, columns), and the target.

    A target of texts is a class: labels int32 (N,), and the names of the classes in alphabetical
    order. A target of whole numbers from 0 to 999,999,999 is a label as it is. Another target is
    float32 (N, 1). Each feature is a number. float32 has about seven digits, so leave out columns
    such as identifiers and times in seconds, or subtract their smallest value in the file.

    Args:
        path: the file.
        backend: where the arrays go, see `anynet.get_backend`.
        target: the name or the index of the column to predict. -1 is the last one.
        features: the names or indices of the columns to predict from. By default, all others.
        classes: True if the target is a class also where it is a number, such as a year. False if
            it is a number, such as a price in whole euros. By default, the values decide.
        delimiter: one character between the values.
        header: whether the first row has the names of the columns.
        encoding: of the file, such as ``"cp932"``.
        test_split: the share of the rows that are for testing, above 0 and below 1.
        seed: chooses them.

    Raises:
        ArgumentError: an argument is out of range, or there is no such column.
        DataError: a value is missing or no number, some targets are numbers and some are texts, a
            row has another number of values than the first, or the file is damaged. The message has
            the line.
        FileNotFoundError: the file does not exist.

    >>> from anynet.data import read_csv
    >>> with open("iris.csv", "w") as file:
    ...     _ = file.write("length,width,species\n5.1,3.5,setosa\n7.0,3.2,virginica\n")
    >>> dataset = read_csv("iris.csv", "numpy", target="species", test_split=0.5)
    >>> dataset.train[0].shape, dataset.classes
    ((1, 2), ('setosa', 'virginica'))

    """
    check_share(test_split)
    table = _read(Path(path).expanduser(), delimiter, encoding, header=header)
    goal = _column(table, "target", target)
    if features is None:
        chosen = [i for i in range(len(table.names)) if i != goal]
    elif isinstance(features, str) or not isinstance(features, Sequence):
        raise ArgumentTypeError(
            f"features is {describe(features)}: wanted a list of columns, such as "
            "['length', 'width']"
        )
    else:
        chosen = [_column(table, "features", name) for name in features]
    if len(table.names) == 1:
        raise DataError(
            f"{table.path} has one column, {table.names[0]!r}: wanted a target and features; the "
            f"delimiter is {delimiter!r}"
        )
    if not chosen or goal in chosen:
        raise ArgumentError(
            f"features are {describe(features)}, and the target is {table.names[goal]!r}: wanted "
            "one or more other columns"
        )
    backend = get_backend(backend)
    x = [[_number(table, line, row, i) for i in chosen] for line, row in table.rows]
    t, names = _targets(table, goal, classes, backend)
    return split_dataset(
        backend.asarray(x, dtype=backend.xp.float32),
        t,
        test_split,
        seed,
        names,
    )


def _read(
    path: Path,
    delimiter: str,
    encoding: str,
    *,
    header: bool,
) -> _Table:
    """Return the rows of a file, all of the same length."""
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise ArgumentError(f"delimiter is {delimiter!r}: wanted one character, such as ';'")
    codec = _codec(encoding)
    try:
        with path.open(encoding=codec, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except UnicodeError as error:
        raise DataError(
            f"{path} is not in the encoding {encoding} ({error}): give encoding=, such as 'cp932'"
        ) from error
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file, or a damaged one: {error}") from error
    if not rows:
        raise DataError(f"{path} is empty: wanted rows of values")
    names = [name.strip() for name in rows[0][1]]
    if not header:
        names = [str(i) for i in range(len(names))]
    elif len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path} has the column {twice!r} twice: rename one of them")
    table = _Table(path, names, rows[1:] if header else rows)
    if not table.rows:
        raise DataError(f"{path} has a header and no rows")
    for line, row in table.rows:
        if len(row) != len(names):
            raise DataError(
                f"{path}, line {line}: {len(row)} values, and the first row has {len(names)}; the "
                f"delimiter is {delimiter!r}"
            )
    return table


def _codec(encoding: str) -> str:
    """Return the encoding for `open`. A file of Excel begins with a mark."""
    if not isinstance(encoding, str):
        raise ArgumentTypeError(f"encoding is {describe(encoding)}: wanted a name, such as 'cp932'")
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise ArgumentError(f"encoding is {encoding!r}: {error}") from error
    return "utf-8-sig" if name == "utf-8" else name


def _column(table: _Table, argument: str, name: str | int) -> int:
    """Return the index of a column."""
    if isinstance(name, str):
        if name in table.names:
            return table.names.index(name)
        raise ArgumentError(
            f"{argument} is {name!r}{did_you_mean(name, table.names)}: {table.path} has the "
            f"columns {listed(table.names)}"
        )
    if not isinstance(name, int) or isinstance(name, bool):
        raise ArgumentTypeError(
            f"{argument} is {describe(name)}: wanted the name or the index of a column"
        )
    if not -len(table.names) <= name < len(table.names):
        raise ArgumentError(f"{argument} is {name}: {table.path} has {len(table.names)} columns")
    return name % len(table.names)


def _value(table: _Table, line: int, row: list[str], column: int) -> str:
    """Return a value that is not missing."""
    text = row[column].strip()
    if text.lower() in MISSING:
        shown = f"a missing value ({text!r})" if text else "no value"
        raise DataError(
            f"{table.path}, line {line}: {shown} in the column {table.names[column]!r}; fill it in "
            "or remove the row"
        )
    return text


def _number(table: _Table, line: int, row: list[str], column: int) -> float:
    text = _value(table, line, row, column)
    if not _NUMBER.fullmatch(text) or not abs(float(text)) <= LARGEST:
        raise DataError(
            f"{table.path}, line {line}: {text[:40]!r} in the column {table.names[column]!r} is no "
            "number of float32; leave the column out of features=, or replace texts by numbers"
        )
    return float(text)


def _targets(
    table: _Table,
    column: int,
    classes: bool | None,
    backend: Backend,
) -> tuple[Array, tuple[str, ...]]:
    """Return the array of the targets, and the names of the classes if they have names."""
    xp = backend.xp
    texts = [_value(table, line, row, column) for line, row in table.rows]
    is_labels = all(map(_INTEGER.fullmatch, texts))
    is_numbers = all(map(_NUMBER.fullmatch, texts))
    if classes is None and not is_numbers:
        _check_names(table, column, texts)
    if classes is None and is_labels:
        return backend.asarray([int(text) for text in texts], dtype=xp.int32), ()
    if classes or (classes is None and not is_numbers):
        names = tuple(sorted(set(texts), key=_order(is_numbers)))
        index = {name: i for i, name in enumerate(names)}
        return backend.asarray([index[text] for text in texts], dtype=xp.int32), names
    values = [[_number(table, line, row, column)] for line, row in table.rows]
    return backend.asarray(values, dtype=xp.float32), ()


def _check_names(table: _Table, column: int, texts: list[str]) -> None:
    """Check that no target is a number, because one of the others may be a misprint."""
    if not any(map(_NUMBER.fullmatch, texts)):
        return
    i = next(i for i, text in enumerate(texts) if not _NUMBER.fullmatch(text))
    raise DataError(
        f"{table.path}, line {table.rows[i][0]}: {texts[i][:40]!r} in the column "
        f"{table.names[column]!r} is no number, and other rows have numbers; correct it, or give "
        "classes=True if the values are names of classes"
    )


def _order(is_numbers: bool) -> Any:
    """Return the key by which the names of classes are sorted."""
    return (lambda text: (float(text), text)) if is_numbers else None
