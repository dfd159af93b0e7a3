"""Modules: values that hold parameters and are called like functions."""

from collections.abc import Callable
from operator import is_
from typing import Any, ClassVar, Self

from anynet import random, tree
from anynet.array import Array, DType, is_array
from anynet.backend import Backend, get_backend
from anynet.errors import AnynetError, ArgumentError, NotInitializedError, StateError

#: What may grow without being another object.
_GROWING = frozenset((list, dict))


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

    One array, or one module, in two places of a network is tied: it is one parameter (or one module), has one gradient,
    the sum over both places, and stays tied in updates, copies and checkpoints. Arrays that are merely equal are not.
    """

    #: Its attributes are children in the trees of `anynet.tree`, which are tied by identity.
    tree_node = True
    ties = True
    BUFFERS: ClassVar[tuple[str, ...]] = ()
    #: Whether this is the copy that `value_and_grad` hands to the function; not kept in further copies.
    _differentiated = False
    _fixed_training: bool | None = None

    @property
    def training(self) -> bool:
        """Whether this is the thing being differentiated, and not frozen; to override it, see `set_training`."""
        fixed = self._fixed_training
        return self._differentiated if fixed is None else fixed

    @training.setter
    def training(self, value: Any) -> None:
        raise ArgumentError(
            f"{type(self).__name__}.training was assigned {value!r}: a network is in training while it is "
            "differentiated; call set_training(True), (False) or (None) to override that, or choose another name"
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
            if self._differentiated:
                return self.forward(*args, **settings)
            own = self.__dict__
            before = [*own.values()]
            lengths = None if _GROWING.isdisjoint(map(type, before)) else [*map(_length, before)]
            # Deep inside it, and in other modules, it is looked at once.
            inside = None if type(self) in _looked_at else (_arrays(self), self.modules())
            out = self.forward(*args, **settings)
            if len(own) != len(before) or not all(map(is_, own.values(), before)) or lengths is not None:
                self._check_kept(before, lengths)
            if inside is not None:
                self._check_inside(*inside)
            return out
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

    def __setattr__(self, name: str, value: Any) -> None:
        # While it is differentiated this is a copy, whose attributes go with it. Buffers alone are written back, those
        # that were arrays before.
        if self._differentiated and not is_array(vars(self).get(name)):
            self._check_no_array(name, value)
        object.__setattr__(self, name, value)

    def _check_kept(self, before: list[Any], lengths: list[int] | None) -> None:
        """Look whether `forward` has put an array where there was none, or another one in place of a parameter.

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
        kept = [(path, *place) for path in new if (place := self._place(path, {id(module) for _, module in modules}))]
        for _, holder, name in kept:
            if isinstance(holder, list):
                holder[int(name)] = None
            else:
                (vars(holder) if isinstance(holder, Module) else holder).pop(name)
        if kept:
            raise _kept(type(self).__name__, kept[0][0])
        _looked_at.add(type(self))

    def _place(self, path: str, known: set[int]) -> tuple[Any, str] | None:
        """Return what holds the array at a path, and its name there; None if in a module that is not known."""
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
        """Return the attributes, as a copy or a pickle keeps them: it is not being differentiated."""
        return {name: value for name, value in vars(self).items() if name != "_differentiated"}

    def initialize(self, seed: int = 0, backend: "Backend | str | None" = None, dtype: DType = None) -> Self:
        """Draw the numbers of all parameters that have none; return the module itself.

        The same seed gives the same numbers bit for bit on every backend; ``dtype`` is float32 unless given.

        Raises:
            ArgumentError: every parameter has its numbers already.

        """
        backend = get_backend(backend)
        key = random.key(seed, backend)
        places: dict[int, list[tuple[Module, str, Parameter]]] = {}
        for _, module in self.modules():
            for name, value in vars(module).items():
                if _is_open(value):
                    # One that is in two places is tied, and drawn once.
                    places.setdefault(id(value), []).append((module, name, value))
        if not places and self.parameters():
            raise ArgumentError("every parameter has numbers already: build a new network to draw new ones")
        for i, same in enumerate(places.values()):
            place = same[0][2]
            numbers = place.initializer(random.fold_in(key, i), place.shape, dtype or backend.xp.float32)
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
        """Return a copy with fn(array) for every parameter and buffer, as ``net.map(backend.asarray)`` moves one."""
        return tree.map(fn, self)

    def freeze(self, path: str = "") -> Self:
        """Exclude the parameter, or all of the module, at a path from training; return self.

        A module that is frozen keeps its arrays, its buffers too, and computes as in inference while the rest is
        trained: batch normalization by its running statistics, no dropout. A tied parameter is frozen in all places.
        """
        return self._set_frozen(path, frozen=True)

    def unfreeze(self, path: str = "") -> Self:
        """Train the parameter, or all of the module, at a path again; return self."""
        return self._set_frozen(path, frozen=False)

    def _set_frozen(self, path: str, *, frozen: bool) -> Self:
        target = self[path] if path else self
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
                raise ArgumentError(f"{path!r} is part of a {type(holder).__name__}: give {outer!r}, all of it")
            if not modules and not _held(target):
                raise ArgumentError(f"{path!r} is {target!r:.80}: wanted the path of a parameter or a module")
        tied = {id(x) for arrays in held for x in arrays}
        for _, module in self.modules():
            before = set(vars(module).get("frozen", ()))
            arrays = {
                n
                for n, x in vars(module).items()
                if (inside := _held(x)) and ((id(module), n) in chosen or not tied.isdisjoint(map(id, inside)))
            }
            after = before | arrays if frozen else before - arrays
            vars(module).pop("frozen", None)
            if after:
                vars(module)["frozen"] = tuple(n for n in vars(module) if n in after)
        return self

    def set_training(self, training: bool | None) -> Self:
        """Fix whether this module and all inside it are in training; None leaves it to differentiation again."""
        for _, module in self.modules():
            vars(module).pop("_fixed_training", None)
            if training is not None:
                vars(module)["_fixed_training"] = training
        return self

    def modules(self, path: str = "") -> list[tuple[str, "Module"]]:
        """Return this module and all inside it with their first paths, outermost first, each once."""
        found: dict[int, tuple[str, Module]] = {}
        _add_modules(found, self, path)
        return list(found.values())

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
        lines = ", ".join(inner) if not _modules_in(list(vars(self).values())) else _indent(inner)
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


def _arrays(module: Module) -> dict[str, Array]:
    """Return the arrays by path, but for buffers that a module has by now."""
    return dict(tree.leaves(module, buffers=False))


def _kept(kind: str, path: str) -> StateError:
    return StateError(
        f"{kind}.forward() keeps an array in self.{path}, which would make it a parameter of the network: return it, "
        "or leave it in a local variable; if it is state of the layer, name it in BUFFERS and set it in __init__"
    )


def _length(value: Any) -> int:
    return len(value) if type(value) in _GROWING else 0


def _held(value: Any) -> list[Any]:
    """Return the arrays, and the places of those to come, that an attribute holds, but for those in modules."""
    if is_array(value) or _is_open(value):
        return [value]
    if type(value) is dict:
        value = list(value.values())
    return [x for child in value for x in _held(child)] if type(value) is list or isinstance(value, tuple) else []


def _is_open(value: Any) -> bool:
    return type(value) is Parameter


def _show(value: Any) -> str:
    if is_array(value) or _is_open(value):
        return str(tuple(value.shape))
    if (type(value) is list or isinstance(value, tuple)) and _modules_in(value):
        return f"[{_indent([f'{i}: {_show(child)}' for i, child in enumerate(value)])}]"
    return repr(value)


def _indent(parts: list[str]) -> str:
    return "\n" + "".join(f"  {line}\n" for part in parts for line in f"{part},".split("\n"))
