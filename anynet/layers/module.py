"""Modules: values that hold parameters and are called like functions."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

from anynet import random, tree
from anynet.array import Array, DType, is_array
from anynet.backend import Backend, get_backend
from anynet.errors import AnynetError, ArgumentError, NotInitializedError


class Parameter:
    """The place of an array that has no numbers yet, a parameter or a buffer: its shape, and who will draw them."""

    def __init__(self, shape: tuple[int, ...], initializer: Callable[..., Array]) -> None:
        self.shape = shape
        self.initializer = initializer


class Module:
    """The base of layers and networks: attributes are the state, `forward` is the expression.

    An attribute that is an array is a parameter, or a buffer (running statistics, a random key) if its name is in
    ``BUFFERS``: training changes those too, but not by gradients. One that is a module, or a list, tuple or dict of
    modules, is part of the network; everything else is a setting. Order is the order of definition.
    """

    #: Its attributes are children in the trees of `anynet.tree`.
    tree_node = True
    BUFFERS: ClassVar[tuple[str, ...]] = ()
    #: Whether this is the thing being differentiated: true in the copy that `value_and_grad` hands to the function. To
    #: override it, see `set_training`.
    training: bool = False

    def forward(self, *args: Any, **settings: Any) -> Any:
        """Compute the output; a layer defines this, its users call the layer itself."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Return what `forward` computes; an error says in which layer it came up."""
        try:
            return self.forward(*args, **settings)
        except AnynetError as error:
            self._locate(error)
            raise
        except Exception as error:
            if any(map(_is_open, vars(self).values())):
                unready = NotInitializedError(
                    f"{self!r} has no numbers yet: call initialize(seed=0, backend=...) on the network, "
                    "or give seed= to Sequential"
                )
                self._locate(unready)
                raise unready from error
            raise

    def initialize(self, seed: int = 0, backend: "Backend | str | None" = None, dtype: DType = None) -> Self:
        """Draw the numbers of all parameters that have none; return the module itself.

        The same seed gives the same numbers bit for bit on every backend; ``dtype`` is float32 unless given.

        Raises:
            ArgumentError: every parameter has its numbers already.

        """
        backend = get_backend(backend)
        key = random.key(seed, backend)
        holders = [(m, name, value) for _, m in self.modules() for name, value in vars(m).items() if _is_open(value)]
        if not holders and self.parameters():
            raise ArgumentError("every parameter has numbers already: build a new network to draw new ones")
        for i, (module, name, place) in enumerate(holders):
            numbers = place.initializer(random.fold_in(key, i), place.shape, dtype or backend.xp.float32)
            setattr(module, name, numbers)
        return self

    def parameters(self) -> dict[str, Array]:
        """Return the parameters by path, such as ``layers.0.weight``, in definition order."""
        return dict(tree.leaves(self, buffers=False))

    def buffers(self) -> dict[str, Array]:
        """Return the buffers by path, such as ``layers.1.running_mean``, in definition order."""
        parameters = self.parameters()
        return {path: x for path, x in tree.leaves(self) if path not in parameters}

    def map(self, fn: Callable[[Array], Array]) -> Self:
        """Return a copy with fn(array) for every parameter and buffer, as ``net.map(backend.asarray)`` moves one."""
        return tree.map(fn, self)

    def freeze(self, path: str = "") -> Self:
        """Train the parameter, or all of the module, at a path no more; the module keeps its numbers. Return self."""
        return self._set_frozen(path, frozen=True)

    def unfreeze(self, path: str = "") -> Self:
        """Train the parameter, or all of the module, at a path again. Return self."""
        return self._set_frozen(path, frozen=False)

    def _set_frozen(self, path: str, *, frozen: bool) -> Self:
        target = self[path] if path else self
        outer, _, name = path.rpartition(".")
        chosen = [(m, tuple(vars(m))) for _, m in target.modules()] if isinstance(target, Module) else []
        for module, names in chosen or [(self[outer] if outer else self, (name,))]:
            arrays = {
                n for n in names if n not in module.BUFFERS and (is_array(vars(module)[n]) or _is_open(vars(module)[n]))
            }
            before = set(vars(module).pop("frozen", ()))
            after = before | arrays if frozen else before - arrays
            if after:
                vars(module)["frozen"] = tuple(n for n in vars(module) if n in after)
        return self

    def set_training(self, training: bool | None) -> Self:
        """Fix whether this module and all inside it are in training; None leaves it to differentiation again."""
        for _, module in self.modules():
            vars(module).pop("training", None)
            if training is not None:
                vars(module)["training"] = training
        return self

    def modules(self, path: str = "") -> list[tuple[str, "Module"]]:
        """Return this module and all inside it with their paths, outermost first."""
        found: list[tuple[str, Module]] = [(path, self)]
        for name, value in vars(self).items():
            found += _modules_in(value, f"{path}.{name}" if path else name)
        return found

    def __getitem__(self, path: str) -> Any:
        """Return what is at a path: a parameter, a setting or a module."""
        value: Any = self
        for name in path.split("."):
            try:
                value = vars(value)[name] if isinstance(value, Module) else value[int(name) if name.isdigit() else name]
            except (KeyError, IndexError, TypeError, ValueError):
                raise KeyError(
                    f"nothing at {path!r}; parameters and buffers are at {', '.join(dict(tree.leaves(self)))}"
                ) from None
        return value

    def __setitem__(self, path: str, value: Any) -> None:
        """Put something at the path of a parameter, a buffer or a setting."""
        outer, _, name = path.rpartition(".")
        module = self[outer] if outer else self
        if not isinstance(module, Module) or name not in vars(module):
            self[path]
            raise KeyError(f"{outer!r} is a {type(module).__name__}, no module: only a module's attributes can be set")
        setattr(module, name, value)

    def __repr__(self) -> str:
        inner = [f"{name}={_show(value)}" for name, value in vars(self).items()]
        lines = ", ".join(inner) if not _modules_in(list(vars(self).values()), "") else _indent(inner)
        return f"{type(self).__name__}({lines})"

    def _repr_html_(self) -> str:
        from anynet.layers.summary import Summary

        return Summary(self)._repr_html_()

    def _locate(self, error: AnynetError) -> None:
        """Lead the error's path one module outwards."""
        inner = vars(error).get("module")
        if inner is not None:
            path = next((path for path, module in self.modules() if module is inner), "")
            error.path = ".".join(part for part in (path, error.path) if part)
        vars(error)["module"] = self


def _modules_in(value: Any, path: str) -> list[tuple[str, Module]]:
    if isinstance(value, Module):
        return value.modules(path)
    if type(value) is list or isinstance(value, tuple):
        value = dict(enumerate(value))
    if type(value) is dict:
        return [found for name, child in value.items() for found in _modules_in(child, f"{path}.{name}")]
    return []


def _is_open(value: Any) -> bool:
    return type(value) is Parameter


def _show(value: Any) -> str:
    if is_array(value) or _is_open(value):
        return str(tuple(value.shape))
    if (type(value) is list or isinstance(value, tuple)) and _modules_in(value, ""):
        return f"[{_indent([f'{i}: {_show(child)}' for i, child in enumerate(value)])}]"
    return repr(value)


def _indent(parts: list[str]) -> str:
    return "\n" + "".join(f"  {line}\n" for part in parts for line in f"{part},".split("\n"))
