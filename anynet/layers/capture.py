"""The outputs of the layers inside a network."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from anynet import tree
from anynet.arguments import describe, listed
from anynet.array import Array, array_namespace
from anynet.callables import named_like
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    PathError,
    StateError,
)
from anynet.layers import paths as parts
from anynet.layers.kept import checked_call
from anynet.layers.module import Module
from anynet.spelling import did_you_mean
from anynet.tracing.trace import Traced
from anynet.tracing.views import twin

#: Whether to capture the output of the module at a path.
Predicate = Callable[[str, Module], bool]

_WILDCARDS = frozenset("*?[")


def capture(
    net: Module,
    paths: Iterable[str] | Predicate,
) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Return a function that calls a network, and returns its output and activations of its layers.

    Activations are the outputs of the layers, by path. A layer that runs several times has the list
    of its outputs in the order of the calls. Derivatives pass through an activation. A later write
    into the output of a layer does not change its activation.

    The network runs as a copy that shares the arrays. It changes buffers as the network does.

    Args:
        net: a network, which may be the one that a function under `value_and_grad` or `compile` is
            called with.
        paths: of modules, such as "layers.0". In a pattern such as "layers.*", ``*`` stands for
            any characters, also for dots. "" is the whole network. Or a function of a path and a
            module that returns whether to capture the output.

    Raises:
        PathError: no module is at a path, or a pattern fits no path.
        ArgumentError: a part of the network that is no module is at a path.
        ArgumentTypeError: no network, or paths of another type.
        StateError: when called, a module at one of the paths did not run, or ran inside of another
            transformation, such as `autodiff.remat`, which keeps its arrays.

    >>> net = layers.Sequential(layers.Linear(3, 2), layers.ReLU(), seed=0, backend="numpy")
    >>> outputs, activations = anynet.capture(net, ["layers.0"])(np.ones((1, 3), dtype="float32"))
    >>> activations["layers.0"].shape
    (1, 2)

    """
    if not isinstance(net, Module):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
        )
    if isinstance(paths, str):
        raise ArgumentTypeError(f"paths is {paths!r}: wanted a list of paths, as [{paths!r}]")
    wanted = paths if callable(paths) else _checked(paths)
    _choose(net, wanted)

    @named_like(net.forward)
    def captured(*args: Any, **settings: Any) -> tuple[Any, dict[str, Any]]:
        # The default makes a copy of every module, also of one without attributes.
        copy = tree.map(lambda x: x, net, defaults={"_differentiated": False})
        before = {id(x): x for x in copy.buffers().values()}
        outputs = _observe(net, copy, _choose(copy, wanted))
        out = copy(*args, **settings)
        # A buffer that did not change may have been changed by another thread.
        tree.update_buffers(lambda old, new: old if id(new) in before else new, net, copy)
        return out, _activations(outputs, () if callable(wanted) else wanted)

    return captured


def _checked(paths: Any) -> tuple[str, ...]:
    """Return paths as a tuple of strings."""
    try:
        known = tuple(paths)
    except TypeError:
        known = (paths,)
    for path in known:
        if not isinstance(path, str):
            raise ArgumentTypeError(
                f"paths has {describe(path)}: wanted paths such as 'layers.0', or a function of a "
                "path and a module"
            )
    return known


def _choose(
    net: Module,
    wanted: tuple[str, ...] | Predicate,
) -> dict[str, Module]:
    """Return the modules to observe by path."""
    modules = dict(net.modules())
    if callable(wanted):
        return {path: module for path, module in modules.items() if wanted(path, module)}
    chosen: dict[str, Module] = {}
    for path in wanted:
        if path in modules:
            fitting = {path: modules[path]}
        elif _is_pattern(path):
            fitting = {known: x for known, x in modules.items() if fnmatchcase(known, path)}
        else:
            fitting = {path: _at(net, path, modules)}
        if not fitting:
            raise PathError(f"no module is at a path like {path!r}; {_list(modules)}")
        chosen |= fitting
    return chosen


def _is_pattern(path: str) -> bool:
    return not _WILDCARDS.isdisjoint(path)


def _at(
    net: Module,
    path: str,
    modules: dict[str, Module],
) -> Module:
    """Return the module at a path that `Module.modules` does not list, as a further one of a tied
    module.
    """
    try:
        found = parts.get(net, path)
    except PathError:
        meant = did_you_mean(path, modules)
        raise PathError(f"no module is at {path!r}{meant}; {_list(modules)}") from None
    if not isinstance(found, Module):
        raise ArgumentError(
            f"{path!r} is {describe(found)}: wanted the path of a module; {_list(modules)}"
        )
    return found


def _list(modules: dict[str, Module]) -> str:
    known = [path or "''" for path in modules]
    return f"modules are at {listed(known)}"


@dataclass(frozen=True, eq=False)
class _Observer:
    """Runs a module in place of its `forward`, and adds the output to a list."""

    path: str
    outputs: list[Any]
    module: Module
    inner: Callable[..., Any]

    def __call__(
        self,
        module: Module,
        *args: Any,
        **settings: Any,
    ) -> Any:
        if module is not self.module:
            raise StateError(
                f"{self.path} runs inside another transformation, such as remat, vmap or grad, "
                "whose arrays are not available outside: call capture() inside it"
            )
        out = self.inner(module, *args, **settings)
        self.outputs.append(tree.map(_copy, out))
        return out


def _observe(
    net: Module,
    copy: Module,
    chosen: dict[str, Module],
) -> dict[str, list[Any]]:
    """Observe the chosen modules of a copy, and return their lists of outputs, still empty."""
    for (_, original), (_, module) in zip(net.modules(), copy.modules(), strict=True):
        outer = vars(module).get("_observer")
        if isinstance(outer, _Observer):
            # A capture inside of another one. The copy stands for the original in both.
            vars(module)["_observer"] = _moved(outer, original, module)
    outputs: dict[str, list[Any]] = {path: [] for path in chosen}
    for path, module in chosen.items():
        own = vars(module)
        inner = own.get("_observer", _run)
        own["_observer"] = _Observer(path, outputs[path], module, inner)
    return outputs


def _moved(
    observer: Any,
    old: Module,
    new: Module,
) -> Any:
    """Return the observer of a module as one of its copy."""
    if not isinstance(observer, _Observer) or observer.module is not old:
        return observer
    return replace(observer, module=new, inner=_moved(observer.inner, old, new))


def _activations(outputs: dict[str, list[Any]], needed: Iterable[str]) -> dict[str, Any]:
    """Return the activations by path."""
    for path in needed:
        if outputs.get(path) == []:
            raise StateError(
                f"{path} did not run: its network did not call it; leave the path out, or call "
                "the layer in forward()"
            )
    return {
        path: activations[0] if len(activations) == 1 else activations
        for path, activations in outputs.items()
        if activations
    }


def _run(
    module: Module,
    *args: Any,
    **settings: Any,
) -> Any:
    """Return the output of a module that nothing else observes."""
    if module._differentiated:
        return module.forward(*args, **settings)
    return checked_call(module, args, settings)


def _copy(x: Array) -> Array:
    """Return the array in memory that no later write reaches."""
    if type(x) is Traced:
        return twin(x)
    return array_namespace(x).asarray(x, copy=True)
