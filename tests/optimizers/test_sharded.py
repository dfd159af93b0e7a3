"""An optimizer whose state is divided over the ranks of a group, beside the optimizer alone."""

import numpy as np
import pytest
from ranks import require, run_text

import anynet
from anynet import optimizers
from anynet.errors import ArgumentTypeError

PROGRAM = """
    import sys
    from pathlib import Path

    import anynet
    from anynet import layers, optimizers, tree
    from anynet.optimizers import Sharded

    backend = anynet.get_backend(sys.argv[1])
    folder = Path(sys.argv[2])
    xp = backend.xp
    x = anynet.random.normal(anynet.random.key(0, backend), (30, 8))
    t = xp.argmax(x[:, :4], axis=1)

    def network():
        net = layers.Sequential(
            layers.Linear(8, 16), layers.ReLU(), layers.Linear(16, 16), layers.ReLU(),
            layers.Linear(16, 8), layers.Linear(8, 4), seed=0, backend=backend,
        )
        net.layers[3] = net.layers[1]
        net.freeze("layers.2.bias")
        return net

    def bits(net):
        return [anynet.get_backend(p).to_host(p).tobytes() for _, p in tree.leaves(net)]

    def trained(optimizer, group, net=None, **settings):
        net = network() if net is None else net
        history = anynet.fit(
            net, (x, t), optimizer=optimizer, batch_size=8, epochs=3, progress=False, group=group,
            **settings,
        )
        return bits(net), history.losses

    with anynet.open_group(timeout=30) as group:
        for kind in (
            optimizers.Adam, optimizers.Momentum, optimizers.SGD, optimizers.LAMB, optimizers.Muon
        ):
            for compiled in (False, True):
                plain = trained(kind(1e-2), group, compile=compiled)
                sharded = Sharded(kind(1e-2), group)
                assert trained(sharded, group, compile=compiled) == plain, kind
        # The state of this rank is about its part of the whole.
        sharded = Sharded(optimizers.Adam(1e-2), group)
        wrapped = optimizers.Clipping(sharded, max_norm=0.1)
        expected = trained(optimizers.Clipping(optimizers.Adam(1e-2), max_norm=0.1), group)
        assert trained(wrapped, group) == expected
        elements = lambda root: sum(p.shape[0] * (p.shape[-1] if p.ndim > 1 else 1)
                                    for _, p in tree.leaves(root))
        own = [elements(state) for state in group.gather(sharded.optimizer.state)]
        assert max(own) <= {2: 0.53, 3: 0.46}[group.size] * sum(own), own
        whole = sharded.state_dict()["optimizer"]["state"]
        assert elements(whole) == sum(own)
        # A checkpoint goes on, in other ranks too.
        file = folder / "run.safetensors"
        net = network()
        settings = dict(batch_size=8, progress=False, group=group, checkpoint=file)
        make = lambda: Sharded(optimizers.Adam(1e-2), group)
        anynet.fit(net, (x, t), optimizer=make(), epochs=2, **settings)
        other = network()
        history = anynet.fit(other, (x, t), optimizer=make(), epochs=3, **settings)
        assert (bits(other), history.losses) == trained(make(), group)
        if group.is_first:
            print("sharded and whole are equal")
"""


@pytest.mark.parametrize(("engine", "ranks"), [("mpi", 2), ("mpi", 3), ("torch", 2)])
def test_sharded_state_changes_nothing(engine, ranks, backend, tmp_path):
    if backend.name not in ("numpy", "torch"):
        pytest.skip("a group takes arrays of other libraries by the host")
    require(engine)
    done = run_text(tmp_path, engine, ranks, PROGRAM, backend.name, tmp_path)
    assert done.code == 0, done.out
    assert "sharded and whole are equal" in done.out
    # The run of 3 epochs goes on in another number of ranks.
    for others in (None, 1), ("mpi", 5 - ranks) if engine == "mpi" else ("torch", 2):
        file = tmp_path / "run.safetensors"
        saved = file.read_bytes()
        done = run_text(tmp_path, *others, RESUMED, backend.name, tmp_path)
        assert "goes on" in done.out, done.out
        file.write_bytes(saved)


RESUMED = """
    import sys
    from pathlib import Path

    import anynet
    from anynet import layers, optimizers
    from anynet.optimizers import Sharded

    backend = anynet.get_backend(sys.argv[1])
    x = anynet.random.normal(anynet.random.key(0, backend), (30, 8))
    t = backend.xp.argmax(x[:, :4], axis=1)

    def network():
        net = layers.Sequential(
            layers.Linear(8, 16), layers.ReLU(), layers.Linear(16, 16), layers.ReLU(),
            layers.Linear(16, 8), layers.Linear(8, 4), seed=0, backend=backend,
        )
        net.layers[3] = net.layers[1]
        return net.freeze("layers.2.bias")

    with anynet.open_group(timeout=30) as group:
        settings = dict(batch_size=8, epochs=4, progress=False, group=group)
        history = anynet.fit(
            network(), (x, t), optimizer=Sharded(optimizers.Adam(1e-2), group),
            checkpoint=Path(sys.argv[2]) / "run.safetensors", **settings,
        )
        whole = anynet.fit(network(), (x, t), optimizer=optimizers.Adam(1e-2), **settings)
        worst = max(abs(a - b) for a, b in zip(history.losses, whole.losses, strict=True))
        assert worst < 1e-5, worst
        print("goes on")
"""


def test_wrappers_come_around_it():
    group = anynet.open_group()
    with pytest.raises(ArgumentTypeError, match="and wrappers around Sharded"):
        optimizers.Sharded(optimizers.Clipping(optimizers.SGD(0.1), max_norm=1.0), group)
    with pytest.raises(ArgumentTypeError, match="wanted an optimizer"):
        optimizers.Sharded("adam", group)
    with pytest.raises(ArgumentTypeError, match="group is 2"):
        optimizers.Sharded(optimizers.SGD(0.1), 2)
    with pytest.raises(ArgumentTypeError, match="was given no group"):
        optimizers.Sharded(optimizers.SGD(0.1), None)


def test_group_of_one_has_the_whole_state():
    net = {"w": np.ones(3), "b": np.zeros(1)}
    optimizer = optimizers.Sharded(optimizers.Adam(0.1), anynet.open_group())
    optimizer.update(net, {"w": np.ones(3), "b": None})
    assert optimizer.state["w"]["missed"] == 0
    assert optimizer.state["b"] == {}
    other = optimizers.Sharded(optimizers.Adam(0.2), anynet.open_group())
    other.load_state_dict(optimizer.state_dict())
    assert other.learning_rate == 0.1
    assert other.updates == 1
