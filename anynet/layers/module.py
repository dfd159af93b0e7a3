"""Modules: values that hold parameters and are called like functions."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

from anynet import tree
from anynet.arguments import check_flag, check_function
from anynet.array import Array, DType, is_array
from anynet.backend import Backend
from anynet.errors import (
    AnynetError,
    AttributeNameError,
    NotInitializedError,
    PathError,
)
from anynet.layers import paths
from anynet.layers.freezing import set_frozen
from anynet.layers.initialization import has_shape, initialize, is_uninitialized
from anynet.layers.kept import checked_call, holds_array, kept, trusted
from anynet.layers.location import locate
from anynet.spelling import check_attribute, near, no_attribute


class Module:
    """The base of layers and networks: attributes are the state, `forward` is the expression.

    An attribute that is an array is a parameter, or a buffer (running statistics, a random key) if
    its name is in ``BUFFERS``. Training changes buffers too, but not by gradients. An attribute
    that is a module, or a list, tuple or dict of modules, is part of the network. Everything else
    is a setting. Order is the order of definition.

    An array or a module in two places of a network is tied. It counts once, its gradient is the sum
    over both places, and it stays tied in updates, copies and checkpoints. Arrays that are merely
    equal are not tied.

    >>> class Scale(layers.Module):
    ...     def __init__(self):
    ...         self.factor = layers.parameter((3,), initializers.ones)
    ...
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> net = Scale().initialize(seed=0, backend="numpy")
    >>> net(np.asarray([1.0, 2.0, 3.0], dtype="float32"))
    array([1., 2., 3.], dtype=float32)

    """

    #: Its attributes are children in the trees of `anynet.tree`, which are tied by identity.
    tree_node = True
    ties = True
    BUFFERS: ClassVar[tuple[str, ...]] = ()
    #: Whether this is the copy that `value_and_grad` passes to the function. Its copies are not.
    _differentiated = False
    #: The rows of this rank while it is differentiated in a group, see `anynet.distributed`.
    _share: Any = None
    _fixed_training: bool | None = None
    _frozen: tuple[str, ...] = ()
    #: Called with the module and the arguments, in place of `forward`, while it is observed.
    _observer: Callable[..., Any] | None = None

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name in _REMEDIES.keys() & vars(cls):
            raise _reserved(cls, name)

    @property
    def training(self) -> bool:
        """Whether this is being differentiated and not frozen, unless `set_training` fixed it."""
        fixed = self._fixed_training
        return self._differentiated if fixed is None else fixed

    @property
    def frozen(self) -> tuple[str, ...]:
        """The names of the attributes that `freeze` excluded from training."""
        return self._frozen

    def forward(self, *args: Any, **settings: Any) -> Any:
        """Return the output. A layer defines this method, and its users call the layer itself."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Return the result of `forward`. An exception inside has the layer's path.

        Raises:
            StateError: `forward` keeps an array in an attribute that is no buffer.

        """
        try:
            if self._observer is not None:
                return self._observer(self, *args, **settings)
            if self._differentiated or type(self) in trusted:
                return self.forward(*args, **settings)
            return checked_call(self, args, settings)
        except Exception as error:
            cause = self._cause(error)
            locate(cause, self)
            if cause is error:
                raise
            raise cause from error

    def _cause(self, error: Exception) -> Exception:
        """Return the error that explains one of `forward`, or that one itself."""
        if isinstance(error, NotInitializedError):
            return error
        is_own = isinstance(error, AnynetError)
        if not is_own and isinstance(error, AttributeError) and isinstance(error.obj, Module):
            # Not in __getattr__: a class that has one takes longer to read any attribute.
            return no_attribute(error.obj, str(error.name))
        if not any(map(is_uninitialized, vars(self).values())):
            return error
        return NotInitializedError(
            f"{self!r} is not initialized: call initialize(seed=0, backend=...) on the network, "
            "or give seed= to Sequential"
        )

    def __setattr__(self, name: str, value: object) -> None:
        own = vars(self)
        if self._differentiated and not is_array(own.get(name)) and holds_array(value):
            # Attributes of this copy are lost, but for buffers that were arrays before.
            raise kept(type(self).__name__, name)
        if name not in own:
            self._check_name(name, value)
        object.__setattr__(self, name, value)

    def _check_name(self, name: str, value: object) -> None:
        """Check the name of a new attribute."""
        kind = type(self)
        if name in _RESERVED and getattr(kind, name) is getattr(Module, name):
            raise _reserved(kind, name)
        # A user's own class may have any attribute. A class of anynet would ignore a setting.
        # Arrays and modules are parts, unless the name is misspelt.
        if kind.__module__.startswith("anynet.") and (
            tree.is_setting(value) or near(name, vars(self))
        ):
            check_attribute(self, name, Module)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes that a copy or a pickle keeps. It is not being differentiated."""
        return {name: value for name, value in vars(self).items() if name not in _TEMPORARY}

    def initialize(
        self,
        seed: int = 0,
        backend: Backend | str | None = None,
        dtype: DType = None,
    ) -> Self:
        """Draw all parameters and buffers that are not initialized, and return the module itself.

        The same seed gives the same values bit for bit on every backend.

        Args:
            seed: a whole number.
            backend: a backend or its name. The default is that of the parameters that are
                initialized already, as in a network of which a layer was replaced, or else the
                default backend.
            dtype: a floating dtype of any library, or its name, as "float32". The default is that
                of the parameters that are initialized already, or else float32.

        Raises:
            ArgumentError: every parameter is initialized already.
            DTypeError: the library lacks the dtype, on this device or by its settings.

        """
        initialize(self, seed, backend, dtype)
        return self

    def parameters(self) -> dict[str, Array]:
        """Return the parameters by path, such as ``layers.0.weight``, in definition order."""
        return dict(tree.leaves(self, buffers=False))

    def buffers(self) -> dict[str, Array]:
        """Return the buffers by path, such as ``layers.1.running_mean``, in definition order."""
        parameters = self.parameters()
        return {path: x for path, x in tree.leaves(self) if path not in parameters}

    def modules(self, path: str = "") -> list[tuple[str, "Module"]]:
        """Return (path, module) of this module and all inside it, outermost first, each once.

        Paths begin with the given one.
        """
        return [*tree.modules(self, path)]

    def map(self, fn: Callable[[Array], Array]) -> Self:
        """Return a copy with fn(array) for every parameter and buffer.

        For example, ``net.map(backend.asarray)`` brings a network to another library or device,
        where some libraries share the memory. See docs/guides/interop.md.
        """
        check_function("fn", fn, "a function of arrays, as backend.asarray")
        return tree.map(fn, self)

    def freeze(self, path: str = "") -> Self:
        """Exclude the parameter or module at a path from training, and return the network.

        A frozen module keeps its parameters and buffers. It computes as in inference while the rest
        is trained: batch normalization uses its running statistics, dropout drops nothing. A tied
        parameter is frozen in all places.
        """
        set_frozen(self, path, frozen=True)
        return self

    def unfreeze(self, path: str = "") -> Self:
        """Train the parameter or module at a path again, and return the network."""
        set_frozen(self, path, frozen=False)
        return self

    def set_training(self, training: bool | None) -> Self:
        """Fix whether this module and all inside it are in training mode.

        None removes that. The module is then in training while it is being differentiated.
        """
        if training is not None:
            check_flag("training", training)
        for _, module in self.modules():
            vars(module).pop("_fixed_training", None)
            if training is not None:
                vars(module)["_fixed_training"] = training
        return self

    def __getitem__(self, path: str) -> Any:
        """Return the parameter, setting or module at a path.

        Raises:
            PathError: nothing is there.
            ArgumentTypeError: the path is no string.

        """
        return paths.get(self, path)

    def __setitem__(self, path: str, value: object) -> None:
        """Replace the parameter, buffer, setting or module at a path.

        Raises:
            PathError: nothing is there.
            ShapeError, DTypeError, MixedArraysError: the new array is not like the old one.
            ArgumentTypeError: no array in place of an array, or no layer in place of a layer.

        """
        paths.put(self, path, value)

    def __contains__(self, path: object) -> bool:
        try:
            paths.get(self, path)
        except PathError:
            return False
        return True

    def __repr__(self) -> str:
        shown = self.__getstate__()
        parts = [f"{name}={_show(value)}" for name, value in shown.items()]
        has_modules = any(_has_modules(value) for value in vars(self).values())
        return f"{type(self).__name__}({_indent(parts) if has_modules else ', '.join(parts)})"

    def _repr_html_(self) -> str:
        from anynet.layers.summary import Summary

        return Summary(self)._repr_html_()


#: Attributes of a copy that is being differentiated or observed.
_TEMPORARY = frozenset(("_differentiated", "_observer", "_share"))

#: Names that every module reads itself, and the remedy for a class that assigns one.
_REMEDIES = {
    "training": (
        "a network is in training mode while it is being differentiated. Call set_training(True), "
        "(False) or (None) to override that, or choose another name, as is_training"
    ),
    "frozen": (
        "it lists the attributes that are excluded from training. Call freeze() or unfreeze() to "
        "change that, or choose another name, as is_frozen"
    ),
}

#: Names that no attribute of an instance may have, unless its class redefines them.
_RESERVED = frozenset(name for name in vars(Module) if name[0] != "_") - {"forward"}


def _reserved(kind: type, name: str) -> AttributeNameError:
    remedy = _REMEDIES.get(name, f"it is part of every module. Choose another name, as {name}_")
    return AttributeNameError(f"{kind.__name__}.{name} was assigned, and is reserved: {remedy}")


def _has_modules(value: object) -> bool:
    return next(tree.modules(value), None) is not None


def _show(value: Any) -> str:
    if has_shape(value):
        return str(tuple(value.shape))
    if isinstance(value, list | tuple) and _has_modules(value):
        return f"[{_indent([f'{i}: {_show(child)}' for i, child in enumerate(value)])}]"
    return repr(value)


def _indent(parts: list[str]) -> str:
    lines = [line for part in parts for line in f"{part},".split("\n")]
    return "\n" + "".join(f"  {line}\n" for line in lines)
