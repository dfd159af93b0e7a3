"""Groups: optimizers for parts of one network, chosen by path or by a function."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from anynet import tree
from anynet.arguments import describe, listed
from anynet.array import Array
from anynet.callables import takes
from anynet.errors import ArgumentError, ArgumentTypeError, AttributeNameError
from anynet.optimizers.base import Optimizer, shown
from anynet.optimizers.protocol import begin, check_schedule, is_optimizer
from anynet.spelling import check_attribute, did_you_mean, no_attribute
from anynet.state import State, check_state, load_states, state_of

#: A path or pattern, or a function of a parameter's path and array that returns whether the
#: parameter belongs to the group.
Where = str | Callable[[str, Array], bool]

#: An optimizer and the gradients of its parameters, with None for all others.
Part = tuple[Any, Any]


class Groups:
    """Optimizers for groups of parameters. The first group that matches a parameter updates it.

    Each optimizer has its own learning rate: ``groups.optimizers[0].learning_rate = 1e-4``.

    Args:
        groups: pairs ``(where, optimizer)``, and at the end the optimizer of all other parameters.
            ``where`` is the path of a parameter or of a part of the network, as ``"layers.0"``, a
            pattern for such a path, as ``"*.bias"``, in which ``*`` matches any text, or a function
            that returns whether a parameter belongs to the group, called with its path and its
            array. A tied parameter has several paths, and one of them is enough. None in place of
            an optimizer keeps the parameters as they are.

    Raises:
        ArgumentTypeError: an argument is no such pair, or no optimizer.
        ArgumentError: one optimizer is in two places, or a path or pattern matches no parameter, or
            only those of earlier groups (raised by ``update``, before anything has changed).

    Source: PyTorch's param_groups.

    >>> import numpy as np
    >>> from anynet.optimizers import SGD, Groups
    >>> net = {"encoder": [np.ones(1), np.ones(1)], "head": np.ones(1)}
    >>> optimizer = Groups(("encoder.0", None), ("encoder", SGD(0.25)), SGD(0.5))
    >>> optimizer.update(net, {"encoder": [np.ones(1), np.ones(1)], "head": np.ones(1)})
    >>> net
    {'encoder': [array([1.]), array([0.75])], 'head': array([0.5])}

    """

    tree_node = True

    groups: tuple[tuple[Where, Any], ...]
    rest: Any

    def __init__(self, *groups: Any) -> None:
        if not groups:
            raise ArgumentTypeError(
                "Groups has no arguments: wanted pairs such as ('layers.0', Adam(1e-4)), then the "
                "optimizer of all other parameters"
            )
        *pairs, rest = groups
        for i, pair in enumerate(pairs):
            _check_pair(i, pair)
        check_optimizer("the last argument, the optimizer of all other parameters,", rest)
        self.groups = tuple(map(tuple, pairs))
        self.rest = rest
        identities = [id(x) for x in self.optimizers]
        if len({*identities}) < len(identities):
            raise ArgumentError(
                "one optimizer is in two groups, and would count each update twice: make one for "
                "each group"
            )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self):
            raise AttributeNameError(
                f"Groups.{name} was assigned, and can only be read: make other Groups"
            )
        check_attribute(self, name, Groups)
        super().__setattr__(name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    @property
    def optimizers(self) -> list[Any]:
        """The optimizers in order, without None."""
        return [x for x in (*[x for _, x in self.groups], self.rest) if x is not None]

    @property
    def updates(self) -> int:
        """How many updates were made."""
        return max([getattr(x, "updates", 0) for x in self.optimizers], default=0)

    def check_schedule(self, calls: int) -> None:
        """Raise an error if a schedule ends before this many further calls of `update`.

        Args:
            calls: 1 or more.

        Raises:
            ArgumentError: a schedule has no rate for the last of the calls.

        """
        for optimizer in self.optimizers:
            check_schedule(optimizer, calls)

    def update(self, net: Any, grads: Any) -> None:
        """Update each group by its optimizer.

        Args:
            net: a network, or another tree of arrays.
            grads: a tree of the same structure, with None for a parameter that does not change.

        Raises:
            ArgumentError: a path or pattern matches no parameter, or only those of earlier groups.
                Nothing has changed then.

        """
        self._prepare(net, grads)()

    def begin(self, net: Any, grads: Any) -> None:
        """Create the state of the parameters that have gradients, see `Optimizer.begin`."""
        for optimizer, part in self._parts(net, grads):
            begin(optimizer, net, part)

    def _prepare(self, net: Any, grads: Any) -> Callable[[], None]:
        return prepare_parts(net, self._parts(net, grads))

    def _parts(self, net: Any, grads: Any) -> list[Part]:
        gradients = [gradient for *_, gradient in tree.pairs(net, grads)]
        numbers = self._numbers(net, gradients)
        return split(net, gradients, numbers, [*[x for _, x in self.groups], self.rest])

    def _numbers(self, net: Any, gradients: Sequence[Array | None]) -> list[int]:
        """Return the number of the group of each parameter.

        Raises:
            ArgumentError: see `update`.

        """
        further: dict[str, list[str]] = {}
        for path, first in tree.ties(net).items():
            further.setdefault(first, []).append(path)
        parameters = {path for path, _ in tree.leaves(net, buffers=False)}
        numbers: list[int] = []
        unused = {i for i, (where, _) in enumerate(self.groups) if isinstance(where, str)}
        for (path, parameter), gradient in zip(tree.leaves(net), gradients, strict=True):
            paths = [path, *further.get(path, ())]
            for i, (where, _) in enumerate(self.groups):
                if isinstance(where, str):
                    is_match = any(_matches(where, path) for path in paths)
                else:
                    is_match = gradient is not None and any(
                        bool(where(path, parameter)) for path in paths
                    )
                if is_match:
                    numbers.append(i)
                    if path in parameters:
                        unused.discard(i)
                    break
            else:
                numbers.append(len(self.groups))
        for i in sorted(unused):
            self._raise_unused(net, i)
        return numbers

    def _raise_unused(self, net: Any, number: int) -> None:
        where = self.groups[number][0]
        paths = [path for path, _ in tree.leaves(net, buffers=False)]
        paths += tree.ties(net)
        if any(_matches(str(where), path) for path in paths):
            raise ArgumentError(
                f"all parameters at {where!r} belong to earlier groups: put the group before them"
            )
        known = dict.fromkeys(part for path in paths for part in _enclosing(path))
        raise ArgumentError(
            f"the group {where!r} matches no parameter{did_you_mean(str(where), known)}: the "
            f"parameters are at {listed(paths)}"
        )

    def _named(self) -> dict[str, Any]:
        """Return the optimizers by their names in a state."""
        named = {str(i): optimizer for i, (_, optimizer) in enumerate(self.groups)}
        return {**named, "rest": self.rest}

    def state_dict(self) -> State:
        """Return the state of each optimizer.

        >>> from anynet.optimizers import SGD, Groups
        >>> state = Groups(("layers.0", None), SGD(0.5)).state_dict()
        >>> state["0"], state["rest"]["updates"]
        (None, 0)

        """
        return {name: state_of(optimizer) for name, optimizer in self._named().items()}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state.

        Args:
            state: the result of `state_dict` of groups with the same optimizers.

        Raises:
            ArgumentError: it is the state of other groups. Nothing has changed then.

        """
        named = self._named()
        check_state("Groups", state, named)
        load_states([(optimizer, state[name]) for name, optimizer in named.items()])

    def __repr__(self) -> str:
        pairs = [f"({shown(where)}, {optimizer!r})" for where, optimizer in self.groups]
        return f"Groups({', '.join([*pairs, repr(self.rest)])})"


def split(
    net: Any,
    gradients: Sequence[Array | None],
    numbers: Sequence[int],
    optimizers: Sequence[Any],
) -> list[Part]:
    """Return each optimizer and the gradients of its parameters.

    Args:
        net: a network, or another tree of arrays.
        gradients: of each parameter, in order.
        numbers: the index of each parameter's optimizer.
        optimizers: None for parameters that stay as they are.

    """
    chosen: list[Part] = []
    for i, optimizer in enumerate(optimizers):
        if optimizer is not None:
            pairs = zip(gradients, numbers, strict=True)
            own = [gradient if number == i else None for gradient, number in pairs]
            chosen.append((optimizer, tree.unflatten(net, own)))
    return chosen


def prepare_parts(net: Any, updates: Iterable[Part]) -> Callable[[], None]:
    """Compute the updates of several optimizers, and return a function that carries them out.

    Args:
        net: a network, or another tree of arrays.
        updates: from `split`.

    """
    first: list[Callable[[], None]] = []
    prepared: list[Callable[[], None]] = []
    for optimizer, grads in updates:
        if _is_divided(optimizer):
            prepared.append(optimizer._prepare(net, grads))
        else:
            first.append(partial(optimizer.update, net, grads))

    def carry_out() -> None:
        # Whole updates may raise, so they come before anything else has changed.
        for update in (*first, *prepared):
            update()

    return carry_out


def _is_divided(optimizer: Any) -> bool:
    """Return whether an update can be prepared: not that of a class that overrides ``update``."""
    # `Muon` gives super().
    kind = type(optimizer)
    return kind is super or getattr(kind, "update", None) in (Optimizer.update, Groups.update)


def _check_pair(number: int, pair: Any) -> None:
    """Raise ArgumentTypeError unless a group is (path or function, optimizer or None)."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ArgumentTypeError(
            f"group {number} is {describe(pair)}: wanted a pair such as ('layers.0', Adam(1e-4))"
        )
    where, optimizer = pair
    if not isinstance(where, str) and not (callable(where) and takes(where, 2)):
        raise ArgumentTypeError(
            f"group {number} is for {describe(where)}: wanted a path such as 'layers.0', or a "
            "function such as lambda path, parameter: parameter.ndim < 2"
        )
    check_optimizer(f"the optimizer of group {number}", optimizer)


def check_optimizer(name: str, optimizer: Any) -> Any:
    """Return an optimizer or None.

    Raises:
        ArgumentTypeError: it is something else.
        ArgumentError: it averages the weights of the network.

    """
    if optimizer is not None and not is_optimizer(optimizer):
        raise ArgumentTypeError(
            f"{name} is {describe(optimizer)}: wanted one such as Adam(1e-3), or None"
        )
    if hasattr(optimizer, "swap"):
        raise ArgumentError(
            f"{name} is {optimizer!r:.80}, which averages all weights of the network: put the "
            "average around all groups, as ExponentialAverage(Groups(...))"
        )
    return optimizer


def _matches(where: str, path: str) -> bool:
    """Return whether a path, or that of a part of the network around it, matches a pattern."""
    return any(part == where or fnmatchcase(part, where) for part in _enclosing(path))


def _enclosing(path: str) -> Iterator[str]:
    """Yield a path and the paths around it, such as ``layers.0.weight``, ``layers.0``, ``layers``.

    >>> list(_enclosing("layers.0.weight"))
    ['layers.0.weight', 'layers.0', 'layers']

    """
    while path:
        yield path
        path = path.rpartition(".")[0]
