"""Functions as a callback."""

from collections.abc import Callable
from typing import Any

from anynet.arguments import check_function
from anynet.training.callback import Callback, RunView


class LambdaCallback(Callback):
    """A callback made of functions of the run, one for each moment.

    Args:
        on_train_begin: called before the first epoch.
        on_epoch_begin: called before the first step of each epoch.
        on_step_end: called after each step.
        on_epoch_end: called after each epoch.
        on_train_end: called after the last epoch.

    Raises:
        ArgumentTypeError: one of them is not a function.

    >>> from anynet import callbacks
    >>> show = callbacks.LambdaCallback(on_epoch_end=lambda run: print(run.epoch))
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])
    >>> _ = anynet.fit(net, data, epochs=2, callbacks=[show], progress=False)
    1
    2

    """

    def __init__(
        self,
        *,
        on_train_begin: Callable[[RunView], Any] | None = None,
        on_epoch_begin: Callable[[RunView], Any] | None = None,
        on_step_end: Callable[[RunView], Any] | None = None,
        on_epoch_end: Callable[[RunView], Any] | None = None,
        on_train_end: Callable[[RunView], Any] | None = None,
    ) -> None:
        functions = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_step_end": on_step_end,
            "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
        }
        for moment, function in functions.items():
            if function is not None:
                check_function(moment, function, "a function of the run")
                # An attribute of the object hides the method of the class.
                setattr(self, moment, function)
