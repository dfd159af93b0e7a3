"""Attributes that every module has cannot be assigned."""

import dataclasses

import pytest

from anynet import layers
from anynet.errors import (
    AttributeNameError,
)


def assign_in_init(name):
    class Mine(layers.Module):
        def __init__(self):
            setattr(self, name, True)

    Mine()


def assign_in_class_body(name):
    type("Mine", (layers.Module,), {name: True})


def assign_in_dataclass(name):
    made = dataclasses.make_dataclass("Mine", [(name, bool)], bases=(layers.Module,))
    made(True)


def assign_later(name):
    class Mine(layers.Module):
        pass

    setattr(Mine(), name, True)


@pytest.mark.parametrize(
    "assign",
    [assign_in_init, assign_in_class_body, assign_in_dataclass, assign_later],
)
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("training", r"Call set_training\(True\), .* choose another name, as is_training"),
        ("frozen", r"Call freeze\(\) .* choose another name, as is_frozen"),
    ],
)
def test_assignment_to_a_reserved_name_raises(assign, name, remedy):
    with pytest.raises(
        AttributeNameError,
        match=rf"Mine\.{name} was assigned, and is reserved: .*{remedy}",
    ):
        assign(name)


def test_assignment_to_a_method_raises():
    class Mine(layers.Module):
        def __init__(self):
            self.map = layers.Linear(3, 3)

    with pytest.raises(AttributeNameError, match=r"Mine\.map was assigned, .* name, as map_"):
        Mine()


def test_class_may_redefine_a_method_as_an_attribute():
    class Mine(layers.Module):
        buffers: dict = None

        def __init__(self):
            self.buffers = {}

    assert Mine().buffers == {}
