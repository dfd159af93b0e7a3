"""Groups: sums, gathered values, shares, and the same rows of a batch in all ranks."""

import numpy as np
import pytest
from ranks import require, run_text

import anynet
from anynet import layers
from anynet.distributed import Share
from anynet.errors import ArgumentError, ArgumentTypeError, GroupError, ShapeError

ENGINES = pytest.mark.parametrize("engine", ["mpi", "torch"])

SUMS = """
    import sys

    import anynet
    from anynet import random
    from anynet.array import array_namespace
    from anynet.errors import ArgumentTypeError, CompilationError, DTypeError

    backend = anynet.get_backend(sys.argv[1])
    xp = backend.xp
    with anynet.open_group(timeout=30) as group:
        own = float(group.rank + 1)
        dtypes = ["float32", "float64", "complex64", "complex128", "bfloat16", "float16", "int32"]
        for name in dtypes:
            if hasattr(xp, name):
                x = xp.full((2, 3), own, dtype=getattr(xp, name), device=backend.device)
                total = group.sum({"x": x, "scalar": x[0, 0]})
                assert total["x"].dtype == x.dtype and total["x"].shape == (2, 3), name
                assert anynet.get_backend(total["x"]).name == backend.name
                assert complex(total["x"][1, 2]) == complex(total["scalar"]) == 6, name
                assert complex(x[0, 0]) == own, "the argument is as it was"
        empty = group.sum(xp.zeros((0, 2), dtype=xp.float32, device=backend.device))
        assert empty.shape == (0, 2)
        assert group.sum({"frozen": None}) == {"frozen": None}
        for wrong, error in (
            ({"x": x, "loss": 3.0}, ArgumentTypeError),
            ([x, (1,)], ArgumentTypeError),
            (xp.ones(2, dtype=xp.uint8), DTypeError),
            (xp.ones(2, dtype=xp.int8), DTypeError),
        ):
            try:
                group.sum(wrong)
            except error as caught:
                assert "a sum over all ranks was given" in str(caught)
            else:
                raise AssertionError(wrong)
        values = group.gather({"rank": group.rank, "x": backend.asarray([own] * group.rank)})
        assert [value["rank"] for value in values] == [0, 1, 2]
        assert [value["x"].tolist() for value in values] == [[], [2.0], [3.0, 3.0]]
        # A value of every length, in one message each.
        assert group.gather("a" * 7 * group.rank) == ["", "a" * 7, "a" * 14]
        shares = group.gather([group.share(8).start, group.share(8).stop])
        assert shares == [[0, 2], [2, 5], [5, 8]]
        # The derivative of a sum of all ranks, of which each has a part.
        key = random.key(0, backend)
        x = random.normal(random.fold_in(key, group.rank), (3,), xp.float64)
        cube = lambda x: array_namespace(x).sum(group.sum(x) ** 3)
        total = sum(float(v) for v in group.gather(float(cube(x)))) / group.size
        step = 1e-6
        grads = anynet.grad(cube)(x)
        expected = group.size * 3 * group.sum(x) ** 2
        assert float(xp.max(xp.abs(grads - expected))) < 1e-9
        compiled = anynet.compile(lambda x: group.sum(x * 2) + 1)
        try:
            for _ in range(3):
                assert float(xp.max(xp.abs(compiled(x) - (2 * group.sum(x) + 1)))) == 0
        except CompilationError:
            # JAX runs compiled steps without Python.
            assert backend.name == "jax"
        if group.is_first:
            print("all sums are right")
"""


@ENGINES
def test_sums_of_all_dtypes(engine, backend, tmp_path):
    require(engine)
    done = run_text(tmp_path, engine, 3, SUMS, backend.name, JAX_ENABLE_X64="1")
    assert done.code == 0, done.out
    assert "all sums are right" in done.out


def test_group_of_one():
    with anynet.open_group() as group:
        x = {"w": np.ones(3)}
        assert (group.rank, group.size, group.is_first) == (0, 1, True)
        assert group.sum(x) is x
        assert group.gather(x) == [x]
        assert group.share(5)[1:] == (0, 5, 5)
        group.check({"a": "1"})


def test_group_of_one_trains_as_without_it():
    def trained(**settings):
        net = layers.Sequential(layers.Linear(4, 3), layers.BatchNorm(3), seed=0, backend="numpy")
        x = np.linspace(-1, 1, 80, dtype="float32").reshape(20, 4)
        data = x, np.arange(20) % 3
        history = anynet.fit(net, data, batch_size=6, epochs=3, progress=False, **settings)
        return history.losses

    with anynet.open_group() as group:
        assert trained() == trained(group=group)


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="there is no group 'smoke signals': wanted one of"):
        anynet.open_group("smoke signals")
    with pytest.raises(ArgumentTypeError, match="name is 3: wanted 'mpi'"):
        anynet.open_group(3)
    for timeout in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="wanted seconds above 0"):
            anynet.open_group(timeout=timeout)
    with pytest.raises(ArgumentTypeError, match="group is 2: wanted"):
        anynet.value_and_grad(lambda x: x, group=2)
    net = layers.Sequential(layers.Linear(1, 1), seed=0, backend="numpy")
    with pytest.raises(ArgumentTypeError, match="group is 'mpi': wanted"):
        anynet.fit(net, (np.ones((2, 1), "float32"), np.ones((2, 1), "float32")), group="mpi")
    with pytest.raises(ArgumentTypeError, match="group is True"):
        anynet.evaluate(net, (np.ones((2, 1), "float32"), np.asarray([0, 0])), group=True)


def test_group_of_torch_needs_its_launcher():
    pytest.importorskip("torch", reason="the engine of this group")
    with pytest.raises(GroupError, match="is not set: start the program with torchrun"):
        anynet.open_group("torch")


def test_rows_of_a_rank():
    share = Share(anynet.open_group(), start=2, stop=4, total=6)
    x, t = np.arange(12).reshape(6, 2), np.arange(6)
    part = share.part_of({"x": x, "others": (t, 3.0, None)})
    assert part["x"].tolist() == [[4, 5], [6, 7]]
    assert part["others"][0].tolist() == [2, 3]
    assert part["others"][1:] == (3.0, None)
    assert share.whole((4, 5)) == ((12, 5), slice(4, 8))
    with pytest.raises(ShapeError, match="of 6 rows: in a group all positional arguments are rows"):
        share.part_of(np.ones(5))
    with pytest.raises(ShapeError, match="wanted the rows along the first axis"):
        share.whole((3, 5))


BY_HAND = """
    import anynet
    from anynet import data, layers, losses, optimizers
    from anynet.errors import ArgumentError, ShapeError

    backend = anynet.get_backend("numpy")
    (x, t), _ = data.load_digits(backend)
    x, t = x[:20, ...], t[:20]
    net = layers.Sequential(layers.Linear(784, 10), seed=0, backend=backend)
    loss = lambda net, x, t, scale=1.0: losses.cross_entropy(net(x), t) * scale
    alone = anynet.value_and_grad(loss)
    with anynet.open_group(timeout=30) as group:
        together = anynet.value_and_grad(loss, group=group)
        for call in (
            lambda f: f(net, x, t),
            lambda f: f(net, x, t, scale=2.0),
            lambda f: f(net, x, t=t) if f is alone else f(net, x, t),
        ):
            (one, g1), (two, g2) = call(alone), call(together)
            assert abs(float(one) - float(two)) < 1e-6
            error = abs(g1["layers.0.weight"] - g2["layers.0.weight"]).max()
            assert error < 1e-6, error
        share = group.share(20)
        mine = together(net, share, share.part_of(x), share.part_of(t))
        assert float(mine[0]) == float(together(net, x, t)[0])
        for arguments, error, text in (
            ((net,), ArgumentError, "no batch"),
            ((net, x[:1, ...], t[:1]), ArgumentError, "1 rows and the group 2 ranks"),
            ((net, x, t[:19]), ShapeError, "batch of 20 rows"),
        ):
            try:
                together(*arguments)
            except error as caught:
                assert text in str(caught), caught
            else:
                raise AssertionError(text)
        score = anynet.evaluate(net, (x, t), group=group)
        assert score == anynet.evaluate(net, (x, t))
        # A function of all rows, which depends on their order.
        ordered = lambda y, t: (y[:, 0] * range(len(t))).sum()
        for data in ((x, t), [(x[:8, ...], t[:8]), (x[8:, ...], t[8:])]):
            one = anynet.evaluate(net, data, ordered)
            assert abs(anynet.evaluate(net, data, ordered, group=group) - one) < 1e-4 * abs(one)
        few = anynet.evaluate(net, (x[:1, ...], t[:1]), group=group)
        assert few == anynet.evaluate(net, (x[:1, ...], t[:1]))
        try:
            anynet.fit(net, (x[:17, ...], t[:17]), batch_size=4, group=group, progress=False)
        except ArgumentError as caught:
            assert "1 rows and the group 2 ranks" in str(caught)
        print("by hand")
"""


@ENGINES
def test_steps_by_hand(engine, tmp_path):
    require(engine)
    done = run_text(tmp_path, engine, 2, BY_HAND)
    assert done.code == 0, done.out
    assert done.out.count("by hand") == 2


OWN_LAYER = """
    import anynet
    from anynet import layers, losses
    from anynet.distributed import share_of

    class Centred(layers.Module):
        '''Subtract the mean of the batch of all ranks.'''

        def forward(self, x):
            share = share_of(self)
            xp = x.__array_namespace__()
            total, rows = xp.sum(x, axis=0), x.shape[0]
            if share is not None:
                (total,), rows = share.all_sum(total), share.total
            return x - total / rows

    backend = anynet.get_backend("numpy")
    x = anynet.random.normal(anynet.random.key(0, backend), (7, 3), backend.xp.float64)
    net = layers.Sequential(Centred(), layers.Linear(3, 2)).initialize(0, backend, "float64")
    net = layers.Sequential(layers.Linear(3, 3), *net.layers).initialize(0, backend, "float64")
    loss = lambda net, x, t: losses.cross_entropy(net(x), t)
    t = backend.asarray([0, 1, 0, 1, 1, 0, 1])
    one, g1 = anynet.value_and_grad(loss)(net, x, t)
    with anynet.open_group(timeout=30) as group:
        two, g2 = anynet.value_and_grad(loss, group=group)(net, x, t)
    assert abs(float(one) - float(two)) < 1e-14
    for (path, a), (_, b) in zip(anynet.tree.leaves(g1), anynet.tree.leaves(g2)):
        assert abs(a - b).max() < 1e-14, path
"""


def test_layer_of_ones_own(tmp_path):
    require("mpi")
    done = run_text(tmp_path, "mpi", 3, OWN_LAYER)
    assert done.code == 0, done.out


RUNS = """
    import json
    import os
    import signal
    import sys
    import warnings
    from pathlib import Path

    import numpy as np

    import anynet
    from anynet import callbacks, layers, losses
    from anynet.errors import GroupError

    folder = Path(sys.argv[1])
    x = np.linspace(-1, 1, 96, dtype="float32").reshape(24, 4)
    t = np.arange(24) % 3
    here = lambda name: folder / name

    def network():
        return layers.Sequential(layers.Linear(4, 3), seed=0, backend="numpy")

    def fit(group, data=(x, t), **settings):
        if isinstance(data, tuple):
            settings["batch_size"] = 8
        return anynet.fit(
            network(), data, group=group, **{"epochs": 2, "progress": False, **settings}
        )

    class Interrupt(callbacks.Callback):
        def on_step_end(self, run):
            if run.updates == 2 and not run.is_first:
                os.kill(os.getpid(), signal.SIGINT)

    with anynet.open_group(timeout=30) as group:
        # Rank 0 alone writes.
        os.chdir(folder / str(group.rank))
        history = fit(
            group,
            progress=True,
            report="run.html",
            checkpoint="run.safetensors",
            checkpoint_every=2,
            callbacks=[
                callbacks.CSVLog("log.csv"),
                callbacks.JSONLinesLog("log.jsonl", steps=1),
                callbacks.SaveBest("best.safetensors"),
                callbacks.EarlyStopping(),
            ],
        )
        group.gather(None)
        files = sorted(path.name for path in Path().iterdir())
        expected = ["best.safetensors", "log.csv", "log.jsonl", "run.html"]
        if group.is_first:
            assert [name for name in files if not name.startswith("run.")] == expected[:3], files
            assert "run.html" in files and "run.safetensors" in files
            assert len(Path("log.jsonl").read_text().splitlines()) == 6 + 2
        else:
            assert files == [], files
        # A run after one that Ctrl-C ended.
        stopped = fit(group, callbacks=[Interrupt()])
        assert stopped.interrupted and len(stopped.losses) == 2
        assert fit(group).losses == history.losses
        # A loss that is a sum.
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            fit(group, loss=lambda y, t: losses.cross_entropy(y, t, ignore_index=1))
            assert not found, found
            fit(group, loss=lambda y, t: ((y - 1) ** 2).sum() + 0 * t.sum())
            assert len(found) == group.is_first, found
            assert not found or "divide a sum by the number of rows" in str(found[0].message)
        # An iterable that differs from rank to rank.
        order = np.random.default_rng(group.rank).permutation(24)
        batches = [(x[rows], t[rows]) for rows in order.reshape(3, 8)]
        try:
            fit(group, batches, metric=None)
        except GroupError as error:
            assert "rank 1 trains something else than rank 0: batch 1[0] is 8 rows" in str(error)
        else:
            raise AssertionError("the ranks trained on different batches")
        try:
            group.gather(1)
        except GroupError as error:
            assert "batch 1[0]" in str(error), "the group stays broken"
        print("all runs", flush=True)
"""


@ENGINES
def test_runs_of_one_group(engine, tmp_path):
    require(engine)
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    done = run_text(tmp_path, engine, 2, RUNS, tmp_path)
    assert done.out.count("all runs") == 2, done.out
    # The ranks caught the error, and leave a group that no longer works.
    assert done.code != 0


TWICE = """
    import anynet

    for _ in range(2):
        with anynet.open_group(timeout=30) as group:
            assert sorted(group.gather(group.rank)) == [0, 1]
    try:
        group.gather(1)
    except anynet.errors.GroupError as error:
        assert "open another one" in str(error)
"""


@ENGINES
def test_groups_one_after_the_other(engine, tmp_path):
    require(engine)
    done = run_text(tmp_path, engine, 2, TWICE)
    assert done.code == 0, done.out


WITHOUT_A_BLOCK = """
    import sys
    import time

    import numpy as np

    import anynet

    group = anynet.open_group(timeout=2)
    group.sum(np.ones(3))
    if group.rank == 1:
        time.sleep(1000)
    try:
        group.sum(np.ones(3))
    except anynet.errors.GroupError as error:
        print(error, flush=True)
        raise
"""


@ENGINES
def test_group_without_a_block_ends_when_a_rank_hangs(engine, tmp_path):
    require(engine)
    done = run_text(tmp_path, engine, 2, WITHOUT_A_BLOCK, timeout=30)
    assert done.code != 0
    assert "rank 1 does not answer" in done.out


INTERRUPTED = """
    import signal
    import threading
    import time

    import numpy as np

    import anynet
    from anynet.errors import GroupError

    with anynet.open_group(timeout=20) as group:
        group.sum(np.ones(3))
        if group.rank == 1:
            threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
        else:
            time.sleep(0.8)
        try:
            group.sum(np.ones(3))
            group.sum(np.ones(3))
        except KeyboardInterrupt:
            try:
                group.sum(np.ones(3))
            except GroupError as error:
                print("then:", error, flush=True)
        except GroupError as error:
            print("other:", error, flush=True)
"""


@ENGINES
def test_rank_that_is_interrupted_in_a_sum_does_not_go_on(engine, tmp_path):
    require(engine)
    done = run_text(tmp_path, engine, 2, INTERRUPTED, timeout=30)
    assert done.code != 0
    assert "then: this rank has left the group by KeyboardInterrupt" in done.out
    assert "other: rank 1 failed: KeyboardInterrupt" in done.out
