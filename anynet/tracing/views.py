"""Which traced arrays share memory, and what a write into one of them does to the others.

A traced array is never written into: a write replaces its value by a changed copy. A library whose
slices are views then shows the change in all arrays that share the memory, so here the base of a
view gets the changed value back, and every other view of it that is still in use is read from it
again. Which functions return views is found out once for each type of array, by calling them.
Libraries whose arrays never change have no views, and nothing here concerns them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from anynet.array import Array, Namespace
from anynet.backend import get_backend
from anynet.errors import DifferentiationError, NoRuleError

if TYPE_CHECKING:
    from anynet.tracing.trace import Traced


class Function(NamedTuple):
    """A function that returns a view in some libraries."""

    #: Calls with a small array, by which a library shows whether it does; made with zeros of this
    #: dtype.
    sample: Callable[[Namespace, Array], Array]
    #: Called as ``(xp, base, new, *args, **settings)``: the base after ``new`` was written into its
    #: view; None where no one writes into such views.
    base: Callable[..., Array] | None
    dtype: str = "float32"


def _put(xp: Namespace, base: "Traced", new: Array, key: Any) -> Array:
    out = twin(base)
    # The standard has None in keys for reading only.
    parts = key if isinstance(key, tuple) else (key,)
    key = tuple(part for part in parts if part is not None)
    out[key] = new if len(key) == len(parts) else xp.reshape(new, out[key].shape)
    return out


def _reshaped(xp: Namespace, base: Array, new: Array, *args: Any, **settings: Any) -> Array:
    return xp.reshape(new, base.shape)


def _permuted(xp: Namespace, base: Array, new: Array, axes: Sequence[int]) -> Array:
    return xp.permute_dims(
        new,
        tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes))),
    )


def _moved(xp: Namespace, base: Array, new: Array, source: Any, destination: Any) -> Array:
    return xp.moveaxis(new, destination, source)


def _same(xp: Namespace, base: Array, new: Array, *args: Any, **settings: Any) -> Array:
    return new


#: By the standard's names; of a key of integers alone some libraries return a scalar, which is no
#: view.
FUNCTIONS: dict[str, Function] = {
    "getitem": Function(lambda xp, x: x[1:, ...], _put),
    "getitem of integers": Function(lambda xp, x: x[0, 0, 0], _put),
    "getitem of an array": Function(lambda xp, x: x[xp.asarray(1), ...], _put),
    "unstack": Function(lambda xp, x: xp.unstack(x)[1], _put),
    "unstack of one axis": Function(lambda xp, x: xp.unstack(x[0, 0, :])[1], _put),
    "reshape": Function(lambda xp, x: xp.reshape(x, (3, 2)), _reshaped),
    "expand_dims": Function(lambda xp, x: xp.expand_dims(x, axis=0), _reshaped),
    "squeeze": Function(lambda xp, x: xp.squeeze(x, axis=1), _reshaped),
    "permute_dims": Function(lambda xp, x: xp.permute_dims(x, (2, 0, 1)), _permuted),
    "moveaxis": Function(lambda xp, x: xp.moveaxis(x, 0, 2), _moved),
    "matrix_transpose": Function(
        lambda xp, x: xp.matrix_transpose(x),
        lambda xp, base, new: xp.matrix_transpose(new),
    ),
    "flip": Function(
        lambda xp, x: xp.flip(x),
        lambda xp, base, new, **settings: xp.flip(new, **settings),
    ),
    "astype": Function(lambda xp, x: xp.astype(x, x.dtype, copy=False), _same),
    "positive": Function(lambda xp, x: xp.positive(x), _same),
    "ceil": Function(lambda xp, x: xp.ceil(x), _same, "int32"),
    "floor": Function(lambda xp, x: xp.floor(x), _same, "int32"),
    "round": Function(lambda xp, x: xp.round(x), _same, "int32"),
    "trunc": Function(lambda xp, x: xp.trunc(x), _same, "int32"),
    "conj": Function(
        lambda xp, x: xp.conj(x),
        lambda xp, base, new: xp.conj(new),
        "complex64",
    ),
    "real": Function(lambda xp, x: xp.real(x), None, "complex64"),
    "imag": Function(lambda xp, x: xp.imag(x), None, "complex64"),
    "broadcast_to": Function(lambda xp, x: xp.broadcast_to(x, (2, 2, 1, 3)), None),
    "linalg.diagonal": Function(lambda xp, x: xp.linalg.diagonal(x), None),
    "stop_gradient": Function(lambda xp, x: x, None),
}
#: By type of array and name.
_known: dict[tuple[type, str], bool] = {}


def returns_view(x: Any, name: str) -> bool:
    """Tell whether the function of this name returns a view when it is given what the traced x
    stands for.
    """
    value = x.value
    while type(value) is type(x):
        value = value.value
    known = _known.get((type(value), name))
    if known is None:
        known = _known[type(value), name] = _try(x.library, name)
    return known


def _try(xp: Namespace, name: str) -> bool:
    function = FUNCTIONS[name]
    base = xp.zeros((2, 1, 3), dtype=getattr(xp, function.dtype))
    view = function.sample(xp, base)
    if not hasattr(type(view), "__iadd__"):
        return False
    # One that cannot be written into is a view, too.
    with suppress(Exception):
        view += 1
        return bool(xp.any(base != 0))
    return True


def twin(x: Any) -> "Traced":
    """Return another traced array for the same value, which shares no memory."""
    copy: Traced = type(x)(x.value, x.trace, x.node)
    return copy


class Memory:
    """What a traced array shares with others: the base it is a view of, and the views of it that
    are in use.

    It keeps the value of an array that is no longer in use, for the views of it that are.
    """

    __slots__ = (
        "__weakref__",
        "base",
        "handle",
        "how",
        "kept",
        "moved",
        "name",
        "views",
    )

    def __init__(
        self,
        x: Any,
        base: "Memory | None" = None,
        name: str = "",
        how: Any = None,
    ) -> None:
        self.handle = ref(x)
        self.base = base
        #: The function that read this from the base: its name, and itself with arguments and
        #: settings.
        self.name, self.how = name, how
        #: The same value, once there are views of it.
        self.kept: Any = None
        self.views: list[ref[Memory]] | None = None
        #: Whether its elements lie in memory in another order than they would without a trace.
        self.moved = False

    @property
    def array(self) -> Any:
        """A traced array of this value."""
        return self.handle() if self.kept is None else self.kept

    def nodes(self) -> "Iterator[Memory]":
        """Return this and all views of it, and of these, that are in use."""
        yield self
        for view in self.in_use():
            yield from view.nodes()

    def in_use(self) -> "list[Memory]":
        """Return the views of this that are in use; what turns out to be a copy is none from now
        on.
        """
        found = []
        for known in self.views or ():
            view = known()
            if view is not None and view.base is self:
                if view.name == "reshape" and self.shares(view.array.shape) is False:
                    view.base = None
                else:
                    found.append(view)
        return found

    def root(self) -> "Memory":
        """Return the memory that has no base."""
        node = self
        while node.base is not None:
            if node.name == "reshape" and node.base.shares(node.array.shape) is False:
                node.base = None
                break
            node = node.base
        return node

    def shares(self, shape: tuple[int, ...]) -> bool | None:
        """Tell whether the array in another shape is a view; None where no one can tell."""
        node: Memory | None = self
        while node is not None:
            if node.moved:
                return None
            node = node.base
        return _strides_allow(self.array.shape, _strides(self.array), shape)

    def become(self, new: Any) -> None:
        """Take another value."""
        for array in (self.kept, self.handle()):
            if array is not None:
                _become(array, new)

    def refresh(self) -> None:
        """Read this again from its base, and the views of this again from it."""
        assert self.base is not None
        views = self.in_use()
        read, args, settings = self.how
        self.become(read(self.base.array, *args, **settings))
        for view in views:
            view.refresh()


def note(
    base: "Traced",
    out: "Traced",
    name: str,
    read: Callable[..., Any],
    *args: Any,
    **settings: Any,
) -> "Traced":
    """Return ``out``, the result of ``read(base, *args, **settings)``; if it is a view in this
    library, keep that.
    """
    if not returns_view(base, name):
        return out
    if type(out.value) is not type(base.value) and not hasattr(type(out.plain), "__iadd__"):
        # Of no axes, what some libraries return is a scalar.
        return out
    memory = base.alias
    if memory is None:
        memory = base.alias = Memory(base)
    views = memory.views
    if views is None:
        views = memory.views = []
        memory.kept = twin(base)
    view = out.alias = Memory(out, memory, name, (read, args, settings))
    views.append(ref(view))
    count = len(views)
    if count > 16 and not count & (count - 1):
        views[:] = [known for known in views if known() is not None]
    return out


def is_part(x: Any, base: Any, key: Any) -> bool:
    """Tell whether x is the part of ``base`` at a key, in the same memory."""
    memory = x.alias
    return (
        memory is not None
        and memory.base is not None
        and memory.base is base.alias
        and memory.name.startswith("getitem")
        and _same_key(memory.how[1][0], key)
    )


def _same_key(key: Any, other: Any) -> bool:
    parts, others = (k if isinstance(k, tuple) else (k,) for k in (key, other))
    return len(parts) == len(others) and all(
        a is b or (type(a) is type(b) and type(a) in (int, slice) and a == b)
        for a, b in zip(parts, others, strict=True)
    )


def write(x: Any, new: Any) -> None:
    """Let x, and all that shares memory with it, have the elements of ``new``.

    Raises:
        DifferentiationError: another array may or may not share the memory; or x is a view that is
            not written into. Under a trace of another kind, the error of that trace.

    """
    memory = x.alias
    if memory is None:
        _alone(x, new, moved=False)
        return
    root = memory.root()
    nodes = list(root.nodes())
    if all(node is memory or node.handle() is None for node in nodes):
        moved = any(node.moved for node in nodes)
        x.alias = None
        _alone(x, new, moved)
        return
    # What no array in use has to do with is left out: the smallest part that has all of these in
    # it.
    node = memory
    while not _holds_all(node, nodes):
        assert node.base is not None
        node = node.base
    if node is not root:
        node.moved = any(above.moved for above in nodes)
        node.base, root, nodes = None, node, list(node.nodes())
    for node in nodes:
        if (
            node.base is not None
            and node.name == "reshape"
            and node.base.shares(node.array.shape) is None
        ):
            raise _refused(
                x,
                "an array and its reshape() share memory or not by the order of their elements in "
                "it",
            )
    changed = [(memory, new)]
    node = memory
    while node.base is not None:
        function = FUNCTIONS[node.name].base
        if function is None:
            raise _refused(
                x,
                f"what {node.name.removeprefix('linalg.')}() returned shares memory with its "
                "argument",
            )
        base = node.base.array
        _, args, settings = node.how
        new = function(base.__array_namespace__(), base, new, *args, **settings)
        node = node.base
        changed.append((node, new))
    before = _order(root.array)
    # Before anything changes: whether these are views is seen in the old value.
    others = [
        [view for view in node.in_use() if view not in (n for n, _ in changed)]
        for node, _ in changed
    ]
    for node, new in changed:
        node.become(new)
    root.moved = root.moved or _order(root.array) != before
    for views in others:
        for view in views:
            view.refresh()


def _holds_all(node: Memory, nodes: list[Memory]) -> bool:
    """Tell whether all nodes whose arrays are in use are views of a node, or this itself."""
    inside = set(map(id, node.nodes()))
    return all(id(other) in inside for other in nodes if other.handle() is not None)


def _alone(x: Any, new: Any, moved: bool) -> None:
    before = _order(x)
    _become(x, new)
    if moved or _order(x) != before:
        x.alias = Memory(x)
        x.alias.moved = True


def _become(x: Any, new: Any) -> None:
    x.value, x.trace, x.node = new.value, new.trace, new.node


def _refused(x: Any, why: str) -> Exception:
    error: type[Exception] = DifferentiationError
    if x.trace is not None:
        # Where many points are evaluated at once, one at a time can be.
        error = NoRuleError if x.trace.batch_axes else type(x.trace.error(""))
    return error(
        f"cannot write into {x!r}: {why}, and another array that shares it is in use. Copy before "
        "writing, x = xp.asarray(x, copy=True), or make a new array, x = x + 1 in place of x += 1"
    )


def _strides(x: Any) -> Any:
    """Return the strides of what a traced array stands for, None where no one can tell."""
    value = x
    while type(value) is type(x):
        if value.trace is not None and value.trace.batch_axes:
            return None
        value = value.value
    strides = get_backend(value).strides(value)
    return strides and tuple(strides)


def in_one_piece(x: Any) -> bool | None:
    """Tell whether the elements follow each other in memory, row by row; None where no one can
    tell.
    """
    strides = _order(x)
    if strides is None:
        return None
    return bool(
        strides == _order(x.__array_namespace__().empty(x.shape, dtype=x.dtype, device=x.device))
    )


def _order(x: Any) -> Any:
    """Return the strides that say where elements are."""
    strides = _strides(x)
    return strides and [
        stride for length, stride in zip(x.shape, strides, strict=True) if length != 1
    ]


def _strides_allow(
    shape: tuple[int, ...],
    strides: Sequence[int] | None,
    new: tuple[int, ...],
) -> bool | None:
    """Tell whether an array of these strides can have another shape without a copy."""
    if strides is None:
        return None
    if 0 in shape:
        return True
    axes = [(length, stride) for length, stride in zip(shape, strides, strict=True) if length != 1]
    wanted = [length for length in new if length != 1]
    i = j = 0
    while i < len(axes) and j < len(wanted):
        # The fewest axes on both sides with as many elements.
        here, there = axes[i][0], wanted[j]
        first = i
        i, j = i + 1, j + 1
        while here != there:
            if here < there:
                here, i = here * axes[i][0], i + 1
            else:
                there, j = there * wanted[j], j + 1
        if any(axes[k][1] != axes[k + 1][0] * axes[k + 1][1] for k in range(first, i - 1)):
            return False
    return True
