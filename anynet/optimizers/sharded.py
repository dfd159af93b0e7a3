"""The state of an optimizer, a part of it on each rank of a group."""

from typing import Any

from anynet import tree
from anynet.arguments import check_group, describe
from anynet.array import Array, array_namespace, size
from anynet.backend import get_backend
from anynet.distributed.group import Group
from anynet.errors import ArgumentTypeError
from anynet.optimizers.base import Optimizer
from anynet.optimizers.protocol import begin
from anynet.optimizers.wrapper import Wrapper
from anynet.state import State


class Sharded(Wrapper):
    """An optimizer that keeps the state of a part of the parameters on each rank of a group.

    Each rank updates its parameters, and one message brings the new values to all. The parameters
    are those of the optimizer alone, bit for bit. The memory of the state is divided by the number
    of ranks, if no parameter is larger than such a part. A message has all parameters, beside that
    of the gradients.

    Wrappers come around it, because they need the gradients of all parameters, as in
    ``Clipping(Sharded(Adam(1e-3), group), max_norm=1.0)``.

    Args:
        optimizer: an `Optimizer`, no wrapper.
        group: of `anynet.open_group`.

    Raises:
        ArgumentTypeError: the optimizer is a wrapper or something else, or there is no group.

    >>> from anynet.optimizers import Adam, Sharded
    >>> with anynet.open_group() as group:
    ...     optimizer = Sharded(Adam(0.1), group)
    ...     net = {"w": np.ones(2)}
    ...     optimizer.update(net, {"w": np.ones(2)})
    >>> net["w"].round(2)
    array([0.9, 0.9])

    Source: Rajbhandari, Rasley, Ruwase and He, ZeRO: memory optimizations toward training trillion
    parameter models, 2020, stage 1; PyTorch's ZeroRedundancyOptimizer.

    """

    def __init__(self, optimizer: Optimizer, group: Group) -> None:
        super().__init__(optimizer)
        if not isinstance(optimizer, Optimizer):
            raise ArgumentTypeError(
                f"Sharded was given {describe(optimizer)}: wanted an optimizer such as Adam(1e-3), "
                "and wrappers around Sharded, as Clipping(Sharded(Adam(1e-3), group), max_norm=1.0)"
            )
        check_group(group)
        if group is None:
            raise ArgumentTypeError("Sharded was given no group: wanted anynet.open_group()")
        self.group = group

    def update(self, net: Any, grads: Any) -> None:
        """Change the parameters by their gradients, each on one rank, and then on all."""
        owners = self._owners(net)
        self._forget_others(owners)
        self.optimizer.update(net, self._own(net, grads, owners))
        pairs = tree.pairs(net, grads)
        changed = [
            (pair, owner)
            for pair, owner in zip(pairs, owners.values(), strict=True)
            if pair[3] is not None
        ]
        values = [self._part(pair[2], owner) for pair, owner in changed]
        for (pair, _), value in zip(changed, self.group.sum(values), strict=True):
            holder, name, _, _ = pair
            holder[name] = value

    def begin(self, net: Any, grads: Any) -> None:
        """Create the state of the parameters of this rank, see `Optimizer.begin`."""
        begin(self.optimizer, net, self._own(net, grads, self._owners(net)))

    def _owners(self, net: Any) -> dict[str, int]:
        """Return the rank that updates each array, so that each has about as many elements."""
        sizes = {path: size(x) for path, x in tree.leaves(net)}
        owners = dict.fromkeys(sizes, 0)
        loads = [0] * self.group.size
        for path in sorted(sizes, key=lambda path: -sizes[path]):
            owners[path] = loads.index(min(loads))
            loads[owners[path]] += sizes[path]
        return owners

    def _own(
        self,
        net: Any,
        grads: Any,
        owners: dict[str, int],
    ) -> Any:
        """Return the gradients with None for the parameters of other ranks."""
        ranks = iter(owners.values())
        return tree.map(lambda _, g: g if next(ranks) == self.group.rank else None, net, grads)

    def _part(self, x: Array, owner: int) -> Array:
        # A sum with -0.0 keeps every value, also -0.0.
        return x if owner == self.group.rank else array_namespace(x).full_like(x, -0.0)

    def _forget_others(self, owners: dict[str, int]) -> None:
        """Drop the state of the parameters of other ranks, which a loaded state has."""
        state = self.optimizer.state
        for path, owner in owners.items():
            if owner != self.group.rank and state.get(path):
                state[path] = {}

    def state_dict(self) -> State:
        """Return the state of all parameters. All ranks make this call."""
        own = self.optimizer.state_dict()
        states = self.group.gather(own["state"])
        like = next((x for _, x in tree.leaves(own["state"])), None)
        backend = get_backend("numpy" if like is None else like)
        whole: State = {}
        for state in states:
            whole |= {path: slots for path, slots in state.items() if slots or path not in whole}
        return {"optimizer": {**own, "state": tree.map(backend.asarray, whole)}}
