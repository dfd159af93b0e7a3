"""An exception inside a layer says in which one."""

import pickle

import pytest
from helpers import normal

import anynet
from anynet import layers
from anynet.array import array_namespace
from anynet.errors import ShapeError


class Fails(layers.Module):
    """A layer whose forward raises an exception that is not anynet's."""

    def __init__(self, error):
        self.error = error

    def forward(self, x):
        raise self.error


class Outer(layers.Module):
    def __init__(self, error):
        self.parts = {"deep": layers.Sequential(layers.ReLU(), Fails(error))}

    def forward(self, x):
        return self.parts["deep"](x)


class Fixed(Exception):
    """An exception that cannot be given notes."""

    def __setattr__(self, name, value):
        raise AttributeError(name)


def squares(net, x):
    y = net(x)
    return array_namespace(y).sum(y**2)


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyError, OSError, StopIteration])
def test_every_exception_has_one_note_with_the_full_path(backend, kind):
    x = normal(backend, 2, 3)
    net = layers.Sequential(layers.Identity(), Outer(kind("a reason")))
    for call in (net, lambda x: anynet.grad(lambda x: squares(net, x))(x)):
        with pytest.raises(kind, match="a reason") as caught:
            call(x)
        assert type(caught.value) is kind
        assert caught.value.__notes__ == ["in layers.1.parts.deep.layers.1 (Fails)"]
        del caught.value.__notes__


def test_notes_of_others_are_kept(backend):
    error = ValueError("a reason")
    error.add_note("a note of its own")
    with pytest.raises(ValueError, match="a reason"):
        Fails(error)(normal(backend, 2, 3))
    assert error.__notes__ == ["a note of its own", "in Fails"]


def test_exception_that_takes_no_notes_is_raised(backend):
    with pytest.raises(Fixed, match="a reason"):
        layers.Sequential(Fails(Fixed("a reason")))(normal(backend, 2, 3))


def test_errors_of_anynet_have_the_path_in_their_message(backend):
    net = layers.Sequential(layers.Identity(), layers.Sequential(layers.Linear(4, 3)), seed=0)
    net = net.map(backend.asarray)
    with pytest.raises(ShapeError, match=r"^layers\.1\.layers\.0: input of shape") as caught:
        net(normal(backend, 2, 3, dtype="float32"))
    assert not hasattr(caught.value, "__notes__")


def test_pickled_exception_has_the_note_and_not_the_network(backend):
    with pytest.raises(ValueError, match="a reason") as caught:
        layers.Sequential(Fails(ValueError("a reason")))(normal(backend, 2, 3))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.__notes__ == ["in layers.0 (Fails)"]
    assert type(copy.__notes__[0]) is str
