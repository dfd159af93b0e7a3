"""The arguments of `fit` are checked before it opens a file, and become plain values."""

import numpy as np
import pytest

import anynet
from anynet import layers
from anynet.errors import ArgumentError
from anynet.training import Epoch, History

DATA = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])


def network():
    return layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "cross_entropy"},
        {"loss": lambda x: x},
        {"optimizer": "sgd"},
        {"epochs": -1},
        {"steps_per_epoch": 0},
        {"compile": "no"},
        {"progress": None},
        {"callbacks": "none"},
        {"precision": "float16"},
        {"history": []},
    ],
)
def test_wrong_arguments_raise_before_a_file_is_opened(tmp_path, wrong):
    files = {
        "checkpoint": tmp_path / "a" / "run.safetensors",
        "report": tmp_path / "b" / "run.html",
    }
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        anynet.fit(network(), DATA, **{"progress": False, **files, **wrong})
    assert [*tmp_path.iterdir()] == []


def test_integers_of_a_library_go_on_with_a_checkpoint(tmp_path):
    settings = {"checkpoint": tmp_path / "run.safetensors", "batch_size": 2, "progress": False}
    anynet.fit(network(), DATA, epochs=1, steps_per_epoch=3, **settings)
    history = anynet.fit(
        network(), DATA, epochs=np.int64(2), steps_per_epoch=np.int32(3), **settings
    )
    assert len(history.losses) == 6


def test_history_that_is_complete_is_returned(tmp_path):
    history = History([Epoch(1, 1.0, {}, {}, 0.0)], [1.0])
    path = tmp_path / "run.html"
    assert anynet.fit(network(), DATA, epochs=1, history=history, report=path) is history
    assert "The run is complete: 1 of 1 epochs." in path.read_text(encoding="utf-8")
