"""Modules: values that hold parameters and are called like functions."""

from collections.abc import Callable
from operator import is_
from typing import Any, ClassVar, Self

from anynet import random, tree
from anynet.arguments import (
    check_flag,
    check_function,
    describe,
)
from anynet.array import (
    Array,
    DType,
    dtype_name,
    is_array,
    is_floating,
    is_mixed,
    mixed_message,
)
from anynet.backend import Backend, check_dtype, get_backend
from anynet.errors import (
    AnynetError,
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    MixedArraysError,
    NotInitializedError,
    PathError,
    ShapeError,
    StateError,
)
from anynet.layers.initialization import Uninitialized, is_uninitialized
from anynet.spelling import (
    check_attribute,
    did_you_mean,
    near,
    no_attribute,
)

#: How many paths of a network a message lists.
_SHOWN_PATHS = 20

#: What may grow without being another object.
_GROWING = frozenset((list, dict))


class Module:
    """The base of layers and networks: attributes are the state, `forward` is the expression.

    An attribute that is an array is a parameter, or a buffer (running statistics, a random key) if
    its name is in ``BUFFERS``: training changes those too, but not by gradients. One that is a
    module, or a list, tuple or dict of modules, is part of the network; everything else is a
    setting. Order is the order of definition.

    One array, or one module, in two places of a network is tied: it is one parameter (or one
    module), has one gradient, the sum over both places, and stays tied in updates, copies and
    checkpoints. Arrays that are merely equal are not.
    """

    #: Its attributes are children in the trees of `anynet.tree`, which are tied by identity.
    tree_node = True
    ties = True
    BUFFERS: ClassVar[tuple[str, ...]] = ()
    #: Whether this is the copy that `value_and_grad` hands to the function; not kept in further
    #: copies.
    _differentiated = False
    _fixed_training: bool | None = None

    @property
    def training(self) -> bool:
        """Whether this is the thing being differentiated, and not frozen; to override it, see
        `set_training`.
        """
        fixed = self._fixed_training
        return self._differentiated if fixed is None else fixed

    @training.setter
    def training(self, value: Any) -> None:
        raise ArgumentError(
            f"{type(self).__name__}.training was assigned {value!r}: a network is in training while "
            "it is differentiated; call set_training(True), (False) or (None) to override that, or "
            "choose another name"
        )

    def forward(self, *args: Any, **settings: Any) -> Any:
        """Compute the output; a layer defines this, its users call the layer itself."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Return what `forward` computes; an error says in which layer it came up.

        Raises:
            StateError: `forward` keeps an array in an attribute that is no buffer.

        """
        try:
            if self._differentiated or type(self) in _trusted:
                return self.forward(*args, **settings)
            own = self.__dict__
            before = [*own.values()]
            lengths = None if _GROWING.isdisjoint(map(type, before)) else [*map(_length, before)]
            # Deep inside it, and in other modules, it is looked at once.
            inside = None if type(self) in _looked_at else (_arrays(self), self.modules())
            out = self.forward(*args, **settings)
            if (
                len(own) != len(before)
                or not all(map(is_, own.values(), before))
                or (lengths is not None and lengths != [*map(_length, before)])
            ):
                self._check_kept(before, lengths)
            if inside is not None:
                self._check_inside(*inside)
            return out
        except Exception as error:
            told = self._told(error)
            if isinstance(told, AnynetError):
                self._locate(told)
            if told is error:
                raise
            raise told from error

    def _told(self, error: Exception) -> Exception:
        """Return the error that says what is behind one of `forward`, or this one itself."""
        if (
            isinstance(error, AttributeError)
            and not isinstance(error, AnynetError)
            and isinstance(error.obj, Module)
        ):
            # Not in __getattr__: a class that has one takes longer to read any attribute.
            return no_attribute(error.obj, str(error.name))
        if not isinstance(error, NotInitializedError) and any(
            map(is_uninitialized, vars(self).values())
        ):
            return NotInitializedError(
                f"{self!r} has no numbers yet: call initialize(seed=0, backend=...) on the network, "
                "or give seed= to Sequential"
            )
        return error

    def __setattr__(self, name: str, value: Any) -> None:
        # While it is differentiated this is a copy, whose attributes go with it. Buffers alone are
        # written back, those that were arrays before.
        if self._differentiated and not is_array(vars(self).get(name)):
            self._check_no_array(name, value)
        own = vars(self)
        # A class of a user's own may be given any attribute. A setting would be ignored; arrays and
        # modules are parts.
        new = name not in own and type(self).__module__.startswith("anynet.")
        if new and (tree.is_setting(value) or near(name, own)):
            check_attribute(self, name, Module)
        object.__setattr__(self, name, value)

    def _check_kept(self, before: list[Any], lengths: list[int] | None) -> None:
        """Look whether `forward` has put an array where there was none, or another one in place of
        a parameter.

        If so, the attribute is again what it was.
        """
        own = vars(self)
        for i, (name, value) in enumerate([*own.items()]):
            old = i < len(before)
            if old and value is before[i] and (lengths is None or _length(value) == lengths[i]):
                continue
            try:
                if name not in self.BUFFERS:
                    self._check_no_array(name, value)
            except StateError:
                if not old:
                    del own[name]
                elif value is not before[i]:
                    own[name] = before[i]
                else:
                    while lengths and _length(value) > lengths[i]:
                        value.popitem() if type(value) is dict else value.pop()
                raise

    def _check_inside(self, before: dict[str, Array], modules: list[tuple[str, "Module"]]) -> None:
        """Look whether `forward` has put arrays anywhere in these modules, and take them away."""
        new = [path for path in _arrays(self) if path not in before]
        kept = [
            (path, *place)
            for path in new
            if (place := self._place(path, {id(module) for _, module in modules}))
        ]
        for _, holder, name in kept:
            if isinstance(holder, list):
                holder[int(name)] = None
            else:
                (vars(holder) if isinstance(holder, Module) else holder).pop(name)
        if kept:
            raise _kept(type(self).__name__, kept[0][0])
        _looked_at.add(type(self))
        if type(self).__module__.startswith("anynet."):
            _trusted.add(type(self))

    def _place(self, path: str, known: set[int]) -> tuple[Any, str] | None:
        """Return what holds the array at a path, and its name there; None if in a module that is
        not known.
        """
        outer, _, name = path.rpartition(".")
        holder, parts = self, outer.split(".")
        for i in range(len(parts) if outer else 0):
            holder = self[".".join(parts[: i + 1])]
            if isinstance(holder, Module) and id(holder) not in known:
                return None
        return holder, name

    def _check_no_array(self, name: str, value: Any) -> None:
        if not isinstance(value, Module) and next(tree.leaves(value), None) is not None:
            raise _kept(type(self).__name__, name)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, as a copy or a pickle keeps them: it is not being
        differentiated.
        """
        return {name: value for name, value in vars(self).items() if name != "_differentiated"}

    def initialize(
        self,
        seed: int = 0,
        backend: "Backend | str | None" = None,
        dtype: DType = None,
    ) -> Self:
        """Draw the numbers of all parameters that have none; return the module itself.

        The same seed gives the same numbers bit for bit on every backend. Where some parameters
        have their numbers, as in a network of which a layer was replaced, the others are drawn for
        the same library, device and dtype unless given; otherwise ``dtype`` is float32. A dtype is
        of any library, or a name, as "float32".

        Raises:
            ArgumentError: every parameter has its numbers already.
            DTypeError: the library lacks the dtype, on this device or by its settings.

        """
        drawn = list(self.parameters().values())
        backend = get_backend(drawn[0] if drawn and backend is None else backend)
        if dtype is None:
            dtype = next(
                (x.dtype for x in drawn if is_floating(x)),
                backend.xp.float32,
            )
        else:
            dtype = _own_dtype(dtype, backend)
        check_dtype(backend.xp, dtype)
        key = random.key(seed, backend)
        if drawn:
            # Those that are there may have been drawn with this seed: the others are not to be
            # equal to them.
            key = random.fold_in(key, len(drawn))
        places: dict[int, list[tuple[Module, str, Uninitialized]]] = {}
        for _, module in self.modules():
            for name, value in vars(module).items():
                if is_uninitialized(value):
                    # One that is in two places is tied, and drawn once.
                    places.setdefault(id(value), []).append((module, name, value))
        if not places and drawn:
            raise ArgumentError(
                "every parameter has numbers already: build a new network to draw new ones"
            )
        for i, same in enumerate(places.values()):
            place = same[0][2]
            numbers = place.initializer(random.fold_in(key, i), place.shape, dtype)
            for module, name, _ in same:
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
        """Return a copy with fn(array) for every parameter and buffer, as
        ``net.map(backend.asarray)`` moves one.
        """
        check_function("fn", fn, "a function of arrays, as backend.asarray")
        return tree.map(fn, self)

    def freeze(self, path: str = "") -> Self:
        """Exclude the parameter, or all of the module, at a path from training; return self.

        A module that is frozen keeps its arrays, its buffers too, and computes as in inference
        while the rest is trained: batch normalization by its running statistics, no dropout. A tied
        parameter is frozen in all places.
        """
        return self._set_frozen(path, frozen=True)

    def unfreeze(self, path: str = "") -> Self:
        """Train the parameter, or all of the module, at a path again; return self."""
        return self._set_frozen(path, frozen=False)

    def _set_frozen(self, path: str, *, frozen: bool) -> Self:
        target = self[path] if path != "" else self
        if not isinstance(path, str):
            raise ArgumentTypeError(
                f"the path is {describe(path)}: wanted one such as 'layers.0'; or net[0].freeze()"
            )
        modules = _modules_in(target)
        chosen = {(id(m), n) for _, m in modules for n in vars(m)}
        held = [_held(x) for _, m in modules for n, x in vars(m).items() if n not in m.BUFFERS]
        if not isinstance(target, Module):
            outer, _, name = path.rpartition(".")
            holder: Any = self[outer] if outer else self
            if isinstance(holder, Module):
                chosen.add((id(holder), name))
                held.append(_held(target))
            elif _held(target):
                raise ArgumentError(
                    f"{path!r} is part of a {type(holder).__name__}: give {outer!r}, all of it"
                )
            if not modules and not _held(target):
                raise ArgumentError(
                    f"{path!r} is {target!r:.80}: wanted the path of a parameter or a module"
                )
        tied = {id(x) for arrays in held for x in arrays}
        for _, module in self.modules():
            before = set(vars(module).get("frozen", ()))
            arrays = {
                n
                for n, x in vars(module).items()
                if (inside := _held(x))
                and ((id(module), n) in chosen or not tied.isdisjoint(map(id, inside)))
            }
            after = before | arrays if frozen else before - arrays
            vars(module).pop("frozen", None)
            if after:
                vars(module)["frozen"] = tuple(n for n in vars(module) if n in after)
        return self

    def set_training(self, training: bool | None) -> Self:
        """Fix whether this module and all inside it are in training; None leaves it to
        differentiation again.
        """
        if training is not None:
            check_flag("training", training)
        for _, module in self.modules():
            vars(module).pop("_fixed_training", None)
            if training is not None:
                vars(module)["_fixed_training"] = training
        return self

    def modules(self, path: str = "") -> list[tuple[str, "Module"]]:
        """Return this module and all inside it with their first paths, outermost first, each
        once.
        """
        found: dict[int, tuple[str, Module]] = {}
        _add_modules(found, self, path)
        return list(found.values())

    def __getitem__(self, path: str) -> Any:
        """Return what is at a path: a parameter, a setting or a module.

        Raises:
            PathError: nothing is there.

        """
        self._check_path(path)
        value: Any = self
        for name in path.split("."):
            try:
                value = (
                    vars(value)[name]
                    if isinstance(value, Module)
                    else value[int(name) if name.isdigit() else name]
                )
            except (KeyError, IndexError, TypeError, ValueError):
                raise PathError(self._nothing_at(path)) from None
        return value

    def _nothing_at(self, path: str) -> str:
        known = list(dict(tree.leaves(self)))
        more = f" and {len(known) - _SHOWN_PATHS} more" if len(known) > _SHOWN_PATHS else ""
        shown = ", ".join(known[:_SHOWN_PATHS])
        return f"nothing at {path!r}{did_you_mean(path, known)}; parameters and buffers are at {shown}{more}"

    def __setitem__(self, path: str, value: Any) -> None:
        """Put something at the path of a parameter, a buffer, a setting or a module.

        Raises:
            PathError: nothing is there.
            ShapeError, DTypeError, MixedArraysError: the new array is not like the old one.
            ArgumentTypeError: no array in place of an array, or no layer in place of a layer.

        """
        old = self[path]
        outer, _, name = path.rpartition(".")
        holder = self[outer] if outer else self
        if isinstance(old, Module):
            check_layer(path, value)
        else:
            _check_fits(path, old, value)
        if isinstance(holder, Module):
            setattr(holder, name, value)
        elif isinstance(holder, tuple):
            items = [value if i == int(name) else item for i, item in enumerate(holder)]
            self[outer] = type(holder)(*items) if hasattr(holder, "_fields") else tuple(items)
        else:
            holder[int(name) if isinstance(holder, list) else name] = value

    def __contains__(self, path: Any) -> bool:
        self._check_path(path)
        try:
            self[path]
        except PathError:
            return False
        return True

    def __len__(self) -> int:
        raise self._no_sequence("was asked for its length")

    def __bool__(self) -> bool:
        # Not by the length: also a network of no layers is one.
        return True

    def _check_path(self, path: object) -> None:
        if not isinstance(path, str):
            # Python iterates by the indices 0, 1 and so on.
            raise self._no_sequence(f"was indexed by {path!r:.80}, or iterated over")

    def _no_sequence(self, what: str) -> ArgumentTypeError:
        kind = type(self).__name__
        return ArgumentTypeError(
            f"a {kind} {what}, and is no sequence of layers, as a Sequential is: use an attribute, "
            f"a path, as net[{next(iter(vars(self)), 'weight')!r}], or modules(), which lists all "
            "layers"
        )

    def __repr__(self) -> str:
        inner = [f"{name}={_show(value)}" for name, value in vars(self).items()]
        lines = ", ".join(inner) if not _modules_in(list(vars(self).values())) else _indent(inner)
        return f"{type(self).__name__}({lines})"

    def _repr_html_(self) -> str:
        from anynet.layers.summary import Summary

        return Summary(self)._repr_html_()

    def _locate(self, error: AnynetError) -> None:
        """Lead the error's path one module outwards."""
        inner = vars(error).get("module")
        if inner is not None:
            path = next(
                (path for path, module in self.modules() if module is inner),
                "",
            )
            error.path = ".".join(part for part in (path, error.path) if part)
        vars(error)["module"] = self


def _own_dtype(dtype: DType, backend: Backend) -> DType:
    """Return the backend's dtype that is called like this one, which parameters can have."""
    name = dtype_name(dtype)
    if not name.startswith(("float", "bfloat", "complex")) or not hasattr(backend.xp, name):
        raise DTypeError(
            f"dtype is {dtype!r:.80}: wanted a floating one of {backend.name}, such as 'float32'"
        )
    own: DType = getattr(backend.xp, name)
    return own


def check_layer(path: str, layer: Any) -> None:
    """Raise ArgumentTypeError unless this can be called as a layer."""
    if isinstance(layer, type):
        raise ArgumentTypeError(
            f"{path} is the class {layer.__name__}: wanted a layer, as {layer.__name__}(…)"
        )
    if not callable(layer):
        several = (
            "; a list is given as Sequential(*layers)" if isinstance(layer, list | tuple) else ""
        )
        raise ArgumentTypeError(
            f"{path} is {layer!r:.80}: wanted a layer, such as Linear(784, 50) or ReLU(){several}"
        )


def _check_fits(where: str, old: Any, new: Any) -> None:
    """Compare an array with the one that it replaces; None replaces one, too, where a layer can do
    without.
    """
    open_ = is_uninitialized(old)
    if new is None or not (open_ or is_array(old)):
        return
    shape = tuple(old.shape)
    if not is_array(new):
        if is_uninitialized(new):
            return
        raise ArgumentTypeError(
            f"{where} was assigned {new!r:.80}: wanted an array of shape {shape}, as "
            "backend.asarray(x)"
        )
    if tuple(new.shape) != shape:
        raise ShapeError(
            f"{where} was assigned an array of shape {tuple(new.shape)}: wanted {shape}; "
            "for another shape make a new layer"
        )
    if open_:
        return
    if is_mixed((old, new)):
        raise MixedArraysError(
            f"{where} was assigned an array of another library or device: "
            f"{mixed_message((old, new))}, and net.map(backend.asarray) moves a whole network"
        )
    if new.dtype != old.dtype:
        name = dtype_name(old.dtype)
        raise DTypeError(
            f"{where} was assigned an array of {dtype_name(new.dtype)}: wanted {name}, as "
            f"xp.astype(x, xp.{name}); net.map(lambda x: xp.astype(x, dtype)) converts a whole "
            "network"
        )


def _add_modules(found: dict[int, tuple[str, Module]], value: Any, path: str) -> None:
    if isinstance(value, Module):
        if id(value) in found:
            return
        found[id(value)] = path, value
        value = vars(value)
    elif type(value) is list or isinstance(value, tuple):
        value = dict(enumerate(value))
    if type(value) is dict:
        for name, child in value.items():
            _add_modules(found, child, f"{path}.{name}" if path else str(name))


def _modules_in(value: Any) -> list[tuple[str, Module]]:
    found: dict[int, tuple[str, Module]] = {}
    _add_modules(found, value, "")
    return list(found.values())


#: Classes whose `forward` was found to keep nothing deep inside.
_looked_at: set[type] = set()

#: Those of anynet's own among them, which keep nothing at all, and are not looked at in every call.
_trusted: set[type] = set()


def _arrays(module: Module) -> dict[str, Array]:
    """Return the arrays by path, but for buffers that a module has by now."""
    return dict(tree.leaves(module, buffers=False))


def _kept(kind: str, path: str) -> StateError:
    return StateError(
        f"{kind}.forward() keeps an array in self.{path}, which would make it a parameter of the "
        "network: return it, or leave it in a local variable; if it is state of the layer, name it "
        "in BUFFERS and set it in __init__"
    )


def _length(value: Any) -> int:
    return len(value) if type(value) in _GROWING else 0


def _held(value: Any) -> list[Any]:
    """Return the arrays, and the places of those to come, that an attribute holds, but for those in
    modules.
    """
    if is_array(value) or is_uninitialized(value):
        return [value]
    if type(value) is dict:
        value = list(value.values())
    return (
        [x for child in value for x in _held(child)]
        if type(value) is list or isinstance(value, tuple)
        else []
    )


def _show(value: Any) -> str:
    if is_array(value) or is_uninitialized(value):
        return str(tuple(value.shape))
    if (type(value) is list or isinstance(value, tuple)) and _modules_in(value):
        return f"[{_indent([f'{i}: {_show(child)}' for i, child in enumerate(value)])}]"
    return repr(value)


def _indent(parts: list[str]) -> str:
    return "\n" + "".join(f"  {line}\n" for part in parts for line in f"{part},".split("\n"))
