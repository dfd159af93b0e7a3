"""Views: which traced arrays share memory, and how a write into one changes the others.

A write into a traced array replaces its value with a changed copy. A library whose slices are views
would show the change in every array that shares the memory. So the base of the view gets the
changed value too, and every other view of it that is in use is read again. Each function is called
once for each type of array to find out whether it returns a view. Libraries with immutable arrays
have no views.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from numbers import Number
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from anynet.array import Array, Namespace, array_namespace, is_array
from anynet.backend import get_backend
from anynet.errors import DifferentiationError, NoRuleError

if TYPE_CHECKING:
    from anynet.tracing.trace import Traced


Axes = int | Sequence[int]


class Function(NamedTuple):
    """A function that returns a view in some libraries."""

    #: Call the function with a small array, to find out whether this library returns a view.
    sample: Callable[[Namespace, Array], Array]
    #: Called as ``(xp, base, new, *args, **settings)``: return the base after ``new`` was written
    #: into its view. None where the view cannot be written into.
    base: Callable[..., Any] | None
    #: The dtype of the small array.
    dtype: str = "float32"


def _put(
    xp: Namespace,
    base: "Traced",
    new: Array,
    key: Any,
) -> Array:
    out = twin(base)
    # In the standard a key with None can only read.
    parts = key if isinstance(key, tuple) else (key,)
    key = tuple(part for part in parts if part is not None)
    out[key] = new if len(key) == len(parts) else xp.reshape(new, out[key].shape)
    return out


def _reshaped(
    xp: Namespace,
    base: Array,
    new: Array,
    *args: Any,
    **settings: Any,
) -> Array:
    return xp.reshape(new, base.shape)


def _permuted(
    xp: Namespace,
    base: Array,
    new: Array,
    axes: Sequence[int],
) -> Array:
    inverse = sorted(range(len(axes)), key=lambda i: axes[i] % len(axes))
    return xp.permute_dims(new, tuple(inverse))


def _moved(
    xp: Namespace,
    base: Array,
    new: Array,
    source: Axes,
    destination: Axes,
) -> Array:
    return xp.moveaxis(new, destination, source)


def _same(
    xp: Namespace,
    base: Array,
    new: Array,
    *args: Any,
    **settings: Any,
) -> Array:
    return new


#: By the standard's names. Some libraries return a scalar for a key of integers alone. A scalar is
#: not a view.
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
#: Whether a function returns a view, by the type of array and its name.
_known: dict[tuple[type, str], bool] = {}


#: Parts of a key that are slices or the like. Libraries that have views read one with a key of
#: these and of integers.
_SLICES = frozenset((slice, type(None), type(...)))


@cache
def _integers_and_slices(kinds: tuple[type, ...]) -> tuple[int, bool] | None:
    """Return how many integers and whether any slices a key of parts of these types has.

    Return None where there are parts of other types.
    """
    if all(kind is int or kind in _SLICES for kind in kinds):
        return kinds.count(int), not _SLICES.isdisjoint(kinds)
    return None


def reading_of_basic(parts: tuple[Any, ...], ndim: int) -> str | None:
    """Return the name in `FUNCTIONS` of reading at a key of integers and slices.

    Return None for a key that has other parts; see `reading`.
    """
    known = _integers_and_slices(tuple(map(type, parts)))
    if known is None:
        return None
    integers, slices = known
    return "getitem" if slices or integers != ndim else "getitem of integers"


def reading(parts: tuple[Any, ...], ndim: int) -> str:
    """Return the name in `FUNCTIONS` of reading at a key, "" where every library copies."""
    integers = 0
    slices = False
    for part in parts:
        kind = type(part)
        if kind in _SLICES:
            slices = True
        elif is_array(part) and not isinstance(part, Number):
            if part.ndim or array_namespace(part).isdtype(part.dtype, "bool"):
                return ""
            return "getitem of an array"
        elif kind is not bool and hasattr(kind, "__index__"):
            integers += 1
        else:
            return ""
    return "getitem" if slices or integers != ndim else "getitem of integers"


def returns_view(x: "Traced", name: str) -> bool:
    """Return whether the function of this name returns a view of the library's array."""
    kind = type(x.plain)
    known = _known.get((kind, name))
    if known is None:
        known = _known[kind, name] = _probe(x.library, name)
    return known


def _probe(xp: Namespace, name: str) -> bool:
    """Call the function with a small array and return whether it returns a view of the array."""
    function = FUNCTIONS[name]
    base = xp.zeros((2, 1, 3), dtype=getattr(xp, function.dtype))
    view = function.sample(xp, base)
    try:
        base[...] = 1
    except TypeError:
        if not hasattr(type(base), "__iadd__"):
            # The library's arrays are immutable.
            return False
        base += 1
    # The base is written into, and not the view: a view may be read-only.
    return bool(get_backend(view).to_host(view).any())


def twin(x: Any) -> "Traced":
    """Return a new traced array for the same value, which shares no memory with x."""
    copy: Traced = type(x)(x.value, x.trace, x.node)
    return copy


class Memory:
    """The base that a traced array is a view of, and the views of the array that are in use.

    It keeps the value of an array that is no longer in use for the views of it that are.
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
        x: "Traced",
        base: "Memory | None" = None,
        name: str = "",
        how: "tuple[Callable[..., Traced], tuple[Any, ...], dict[str, Any]] | None" = None,
    ) -> None:
        self.handle = ref(x)
        self.base = base
        #: The name in `FUNCTIONS` of the function that read this from the base.
        self.name = name
        #: The function, its arguments after the base, and its settings.
        self.how: Any = how
        #: A twin of the array, as soon as there are views of it.
        self.kept: Traced | None = None
        self.views: list[ref[Memory]] | None = None
        #: Whether its elements are in another order in memory than they would be without a trace.
        self.moved = False

    @property
    def array(self) -> "Traced":
        """A traced array of this value."""
        array = self.handle() if self.kept is None else self.kept
        assert array is not None
        return array

    def nodes(self) -> "Iterator[Memory]":
        """Yield this, the views of it that are in use, and the views of these."""
        yield self
        for view in self.in_use():
            yield from view.nodes()

    def in_use(self) -> "list[Memory]":
        """Return the views of this that are in use.

        A reshaped array that turns out to be a copy loses its base.
        """
        views = []
        for reference in self.views or ():
            view = reference()
            if view is not None and view.base is self:
                if view.name == "reshape" and self.shares(view.array.shape) is False:
                    view.base = None
                else:
                    views.append(view)
        return views

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
        """Return whether the array in another shape is a view. Return None if this is unknown."""
        node: Memory | None = self
        while node is not None:
            if node.moved:
                return None
            node = node.base
        return _strides_allow(self.array.shape, _strides(self.array), shape)

    def become(self, new: "Traced") -> None:
        """Take the value of another traced array."""
        for array in (self.kept, self.handle()):
            if array is not None:
                _become(array, new)

    def refresh(self) -> None:
        """Read this from its base again, and then the views of this."""
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
    """Return ``out``, the result of ``read(base, *args, **settings)``.

    If it is a view in this library, record that in ``alias`` of both arrays.
    """
    if not returns_view(base, name):
        return out
    if type(out.value) is not type(base.value) and not hasattr(type(out.plain), "__setitem__"):
        # Some libraries return a scalar for an array of no axes.
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


def is_part(
    x: "Traced",
    base: "Traced",
    key: Any,
) -> bool:
    """Return whether x is a view of ``base`` at a key."""
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


def write(x: "Traced", new: Any) -> None:
    """Replace the elements of x with those of ``new``, in every array that shares its memory.

    Raises:
        DifferentiationError: it is unknown whether another array shares the memory, or x is a view
            that cannot be written into. Another kind of trace raises its own error.

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
    # Start from the smallest part that contains every array in use.
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
            raise _write_error(
                x,
                "whether an array shares memory with its reshape() depends on the order of its "
                "elements in memory",
            )
    changed = [(memory, new)]
    node = memory
    while node.base is not None:
        function = FUNCTIONS[node.name].base
        if function is None:
            raise _write_error(
                x,
                f"the result of {node.name.removeprefix('linalg.')}() shares memory with its "
                "argument",
            )
        base = node.base.array
        _, args, settings = node.how
        new = function(base.__array_namespace__(), base, new, *args, **settings)
        node = node.base
        changed.append((node, new))
    before = _order(root.array)
    # Before the values change, because the strides of the old values show which arrays are views.
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
    """Return whether every node whose array is in use is this node or a view of it."""
    inside = set(map(id, node.nodes()))
    return all(id(other) in inside for other in nodes if other.handle() is not None)


def _alone(
    x: "Traced",
    new: "Traced",
    moved: bool,
) -> None:
    before = _order(x)
    _become(x, new)
    if moved or _order(x) != before:
        x.alias = Memory(x)
        x.alias.moved = True


def _become(x: "Traced", new: "Traced") -> None:
    x.value, x.trace, x.node = new.value, new.trace, new.node


def _write_error(x: "Traced", why: str) -> Exception:
    error: type[Exception] = DifferentiationError
    if x.trace is not None:
        # Where many points are evaluated at once, a caller may evaluate them one by one.
        error = NoRuleError if x.trace.batch_axes else type(x.trace.error(""))
    return error(
        f"cannot write into {x!r}: {why}, and another array that shares it is in use. Copy before "
        "writing, x = xp.asarray(x, copy=True), or make a new array, x = x + 1 in place of x += 1"
    )


def _strides(x: "Traced") -> tuple[int, ...] | None:
    """Return the strides of the library's array, None if they are unknown."""
    value: Any = x
    while type(value) is type(x):
        if value.trace is not None and value.trace.batch_axes:
            return None
        value = value.value
    strides = get_backend(value).strides(value)
    return strides and tuple(strides)


def in_one_piece(x: "Traced") -> bool | None:
    """Return whether the elements are contiguous, row by row. Return None if this is unknown."""
    strides = _order(x)
    if strides is None:
        return None
    xp: Any = x.__array_namespace__()
    return strides == _order(xp.empty(x.shape, dtype=x.dtype, device=x.device))


def _order(x: "Traced") -> list[int] | None:
    """Return the strides of the axes of more than one element."""
    strides = _strides(x)
    if strides is None:
        return None
    return [stride for length, stride in zip(x.shape, strides, strict=True) if length != 1]


def _strides_allow(
    shape: tuple[int, ...],
    strides: Sequence[int] | None,
    new: tuple[int, ...],
) -> bool | None:
    """Return whether an array of these strides can have another shape without a copy.

    Return None if the strides are unknown.
    """
    if strides is None:
        return None
    if 0 in shape:
        return True
    axes = [(length, stride) for length, stride in zip(shape, strides, strict=True) if length != 1]
    wanted = [length for length in new if length != 1]
    i = j = 0
    while i < len(axes) and j < len(wanted):
        # The fewest axes on both sides with the same number of elements.
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
