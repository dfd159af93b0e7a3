import json
import math

import numpy as np
import pytest
from helpers import host, normal

from anynet.errors import ArgumentError, ArgumentTypeError, DataError
from anynet.training.encoding import decode, encode


def round_trip(state, name="part"):
    arrays = {}
    text = json.dumps(encode(name, state, arrays))
    return decode(json.loads(text), arrays.__getitem__), arrays


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**70),
        0.1,
        5e-324,
        -0.0,
        math.inf,
        "",
        "é\ud800\n",
        [],
        [1, [2.5, None]],
        (0.9, 0.999),
        {},
        {"a.b": {"": 1}, "c": [{"d": (1,)}]},
    ],
)
def test_plain_values_come_back_exactly(value):
    found, arrays = round_trip({"value": value})
    assert found == {"value": value}
    assert repr(found["value"]) == repr(value)
    assert arrays == {}


def test_nan_comes_back():
    assert math.isnan(round_trip([math.nan])[0][0])


def test_arrays_are_named_by_their_path(backend):
    state = {"state": {"layers.0.weight": {"mean": normal(backend, 2)}}, "list": [normal(backend)]}
    found, arrays = round_trip(state, "optimizer")
    assert [*arrays] == ["optimizer.state.layers.0.weight.mean", "optimizer.list.0"]
    np.testing.assert_array_equal(
        host(found["state"]["layers.0.weight"]["mean"]),
        host(state["state"]["layers.0.weight"]["mean"]),
    )


def test_array_in_two_places_comes_once(backend):
    x = normal(backend, 2)
    found, arrays = round_trip({"a": x, "b": [x]})
    assert [*arrays] == ["part.a"]
    assert found["a"] is found["b"][0]


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"a": object()}, ArgumentTypeError, r"the state part\.a is an object"),
        ({"a": {1, 2}}, ArgumentTypeError, r"the state part\.a is \{1, 2\}"),
        ({1: 2}, ArgumentError, "the state part has the key 1: wanted a string"),
        ({"$array": 2}, ArgumentError, "has the key '\\$array'"),
        (
            {"a.b": np.ones(1), "a": {"b": np.ones(1)}},
            ArgumentError,
            r"two arrays of a state have the name 'part\.a\.b'",
        ),
    ],
)
def test_other_values_raise(state, error, message):
    with pytest.raises(error, match=message):
        encode("part", state, {})


@pytest.mark.parametrize("values", [{"$array": 3}, {"$tuple": 1}, {"$other": []}])
def test_values_of_another_form_raise(values):
    with pytest.raises(DataError, match="which no version writes"):
        decode(values, {}.__getitem__)
