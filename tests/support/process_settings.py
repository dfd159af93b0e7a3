"""A program that uses anynet on a library, and fails if a setting of its process has changed.

Its argument is the name of the library.
"""

import ctypes
import faulthandler
import gc
import importlib
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import warnings
from typing import Any

import numpy as np

library = sys.argv[1]
module: Any = importlib.import_module(library)


def loggers():
    """Return the level, whether it is disabled, and the handlers of each logger."""
    root = logging.root
    settings = {"": (root.level, root.manager.disable, list(map(id, root.handlers)))}
    for name, logger in root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            handlers = [x for x in logger.handlers if not isinstance(x, logging.NullHandler)]
            settings[name] = (logger.level, logger.disabled, list(map(id, handlers)))
    return settings


def maps_memory():
    """Return whether the C library maps memory for 31 MiB.

    By default it does. After mallopt it does not."""
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"):
        return None
    libc = ctypes.CDLL(None)
    fields = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    Info = type(
        "Info",
        (ctypes.Structure,),
        {"_fields_": [(name, ctypes.c_size_t) for name in fields]},
    )
    libc.mallinfo2.restype, libc.malloc.restype = Info, ctypes.c_void_p
    before = libc.mallinfo2().hblks
    memory = libc.malloc(ctypes.c_size_t(31 << 20))
    mapped = libc.mallinfo2().hblks > before
    # Freeing it would raise the threshold for the next call.
    assert memory
    return mapped


def settings():
    values = {
        "sys.path": list(sys.path),
        "meta_path": list(map(id, sys.meta_path)),
        "path_hooks": list(map(id, sys.path_hooks)),
        "hooks": [
            sys.excepthook,
            sys.unraisablehook,
            sys.displayhook,
            threading.excepthook,
            sys.getprofile(),
            sys.gettrace(),
        ],
        "streams": [sys.stdout, sys.stderr, sys.stdin],
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "environ": dict(os.environ),
        "cwd": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "faulthandler": faulthandler.is_enabled(),
        "threads": {t.name for t in threading.enumerate()},
        "start method": multiprocessing.get_start_method(allow_none=True),
        "gc": (
            gc.isenabled(),
            gc.get_threshold(),
            list(map(id, gc.callbacks)),
        ),
        "warnings": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "loggers": loggers(),
        "random": random.getstate(),
        "numpy errors": np.geterr(),
        "numpy call": np.geterrcall(),
        "numpy print": np.get_printoptions(),
        "numpy buffer": np.getbufsize(),
        "maps memory": maps_memory(),
        "numpy random": list(map(plain, np.random.get_state())),
    }
    if library == "jax":
        import jax.numpy as jnp

        values |= {
            "jax": dict(module.config.values),
            "x64": module.config.jax_enable_x64,
            "ones": jnp.ones(3).dtype,
            "arange": jnp.arange(3).dtype,
            "exp": jnp.exp(np.ones(3)).dtype,
            "device": jnp.ones(1).device,
        }
    if library == "torch":
        values |= {
            "torch": (
                module.get_default_dtype(),
                module.is_grad_enabled(),
                module.is_inference_mode_enabled(),
                module.get_num_threads(),
                module.get_num_interop_threads(),
                module.get_rng_state().tolist(),
                module.are_deterministic_algorithms_enabled(),
                module.get_float32_matmul_precision(),
                module.backends.cuda.matmul.allow_tf32,
                module.backends.cudnn.benchmark,
                module.get_default_device(),
                module.is_anomaly_enabled(),
                module.backends.mkldnn.enabled,
                module._C._get_flush_denormal()
                if hasattr(module._C, "_get_flush_denormal")
                else None,
            )
        }
    if library == "array_api_strict":
        values["flags"] = module.get_array_api_strict_flags()
    return values


def plain(x):
    """Return an array as a list, which can be compared with ==."""
    return x.tolist() if isinstance(x, np.ndarray) else x


def compare(action):
    after = settings()
    # A new logger in its default state changes nothing.
    for name, (level, disabled, handlers) in after["loggers"].items():
        if not (level or disabled or handlers):
            before["loggers"].setdefault(name, (level, disabled, handlers))
    changed = {name: (value, after[name]) for name, value in before.items() if value != after[name]}
    assert not changed, f"{action} has changed {changed}"


before = settings()


def use():
    import anynet
    from anynet import layers, losses, optimizers

    compare("importing anynet")
    exports = anynet.get_backend(library).lazy
    backend = anynet.get_backend("numpy" if exports else library)
    compare("opening the backend")
    key = anynet.random.key(0, backend)
    x, t = (
        anynet.random.normal(key, (40, 1, 6, 6)),
        anynet.random.integers(key, (40,), 0, 3),
    )
    net = layers.Sequential(
        layers.Conv2d(1, 2, 3),
        layers.BatchNorm(2),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Dropout(0.1),
        layers.Linear(8, 3),
        seed=0,
        backend=backend,
    )
    for compiled in (False, True):
        anynet.fit(
            net,
            (x, t),
            (x, t),
            optimizer=optimizers.Adam(),
            epochs=2,
            batch_size=20,
            compile=compiled,
        )
        compare("training")
    str(anynet.summary(net, (1, 6, 6)))
    anynet.check_gradients(lambda net: losses.cross_entropy(net(x), t), net)
    assert backend.to_host(anynet.grad(lambda x: x * x * x)(backend.asarray(2.0))) == 12
    if exports:
        with tempfile.TemporaryDirectory() as folder:
            anynet.export_onnx(net, f"{folder}/net.onnx", (1, 6, 6))
    compare("using anynet")


use()
