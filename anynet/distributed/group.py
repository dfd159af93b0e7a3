"""The group of processes, its ranks, that train one network together."""

import os
import pickle
import time
from collections import Counter
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from anynet import tree
from anynet.arguments import describe, whole_number
from anynet.array import Array, array_namespace, device, dtype_name, is_array
from anynet.backend import get_backend
from anynet.distributed.all_sum import all_sum
from anynet.distributed.engine import Engine, engine_class
from anynet.distributed.notes import FAILED, WAITS, Note
from anynet.distributed.share import Share, share_in, split
from anynet.errors import ArgumentError, ArgumentTypeError, GroupError

T = TypeVar("T")

#: Seconds between two looks at the notes of other ranks, and how long a roll call takes.
LOOK_INTERVAL = 0.02
ROLL_CALL = 0.5

#: Values behind the payload of a message, which are summed too: 1, the mark of the message, its
#: square, and whether this rank was asked to stop. Equal sums of marks and squares mean that all
#: marks are equal.
HEADER = 4

#: Marks of messages are below this, so that sums of squares over 1,000 ranks are exact in float32.
MARKS = 127


class Group:
    """The ranks of a group. `anynet.open_group` returns one.

    All ranks make the same calls in the same order. A message that meets another one, a rank that
    has failed and one that does not answer raise a `GroupError`, which names the rank.

    As a context, a group tells the other ranks when this one leaves it by an error.

    Args:
        engine: carries the messages, None for a group of one.
        timeout: the seconds after which a rank that does not answer is given up.

    >>> group = anynet.open_group()
    >>> group.rank, group.size
    (0, 1)

    """

    def __init__(self, engine: Engine | None, timeout: float) -> None:
        #: The number of this rank, from 0.
        self.rank = 0 if engine is None else engine.rank
        #: The number of ranks.
        self.size = 1 if engine is None else engine.size
        self.timeout = timeout
        #: Whether this rank was asked to stop. Its messages say so.
        self.wants_stop = False
        #: Whether a message said that a rank was asked to stop.
        self.stopping = False
        self._engine = engine
        #: How many messages were begun, and what the last one sums.
        self._messages = 0
        self._content = ""
        #: Why the group no longer works.
        self._failure = ""

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which alone writes files and shows progress."""
        return self.rank == 0

    def sum(self, arrays: T) -> T:
        """Return the sums of the arrays of a tree over all ranks, in one message for each dtype.

        Arrays of 16 bits are summed in float32. The derivative is such a sum too.

        Args:
            arrays: a tree of arrays, of the same shapes and dtypes on all ranks.

        Raises:
            ArgumentTypeError: a list, tuple or dict has a Python scalar in place of an array.
            DTypeError: an array has booleans, or integers other than int32 and int64.

        >>> group = anynet.open_group()
        >>> group.sum({"rows": np.asarray(3.0)})
        {'rows': array(3.)}

        """
        if self.size == 1:
            return arrays
        _check_scalars(arrays)
        leaves = [x for _, x in tree.leaves(arrays)]
        if not leaves:
            return arrays
        sums = iter(all_sum(*leaves, group=self))
        return tree.map(lambda _: next(sums), arrays)

    def gather(self, value: T) -> list[T]:
        """Return the value of each rank, in the order of the ranks.

        Args:
            value: anything that can be pickled. Arrays in it are brought to the host.

        >>> anynet.open_group().gather("here")
        ['here']

        """
        if self.size == 1:
            return [value]
        host: Any = get_backend("numpy").xp
        own = pickle.dumps(tree.map(lambda x: get_backend(x).to_host(x), value))
        lengths = self._joined(host, [len(own)], 1)
        most = -(-max(lengths) // 4)
        words = memoryview(own + b"\0" * (4 * most - len(own))).cast("i")
        contents = self._joined(host, words, most).tobytes()
        parts = [contents[4 * most * i : 4 * most * i + lengths[i]] for i in range(self.size)]
        return [pickle.loads(part) for part in parts]

    def _joined(self, host: Any, words: Any, each: int) -> Any:
        """Return the integers of all ranks, as many of each, one after the other."""
        every = host.zeros((self.size * each,), dtype=host.int32)
        every[self.rank * each : (self.rank + 1) * each] = host.asarray(words, dtype=host.int32)
        return self.exchange([every])

    def check(self, texts: dict[str, str]) -> None:
        """Raise GroupError unless all ranks have the same texts.

        Args:
            texts: by the name of what they describe.

        """
        first, *others = self.gather(texts)
        for rank, other in enumerate(others, 1):
            for name in {**first, **other}:
                here, there = first.get(name, "missing"), other.get(name, "missing")
                if here != there:
                    self._fail(
                        f"rank {rank} trains something else than rank 0: {name} is {there} there, "
                        f"and {here} on rank 0. All ranks make the same calls, with the same seed, "
                        "settings and data"
                    )

    def share(self, rows: int) -> Share:
        """Return the share of this rank in a batch of this many rows.

        The shares of the ranks are consecutive, and differ by one row at most.

        Raises:
            ArgumentError: there are fewer rows than ranks.

        """
        return share_in(self, whole_number("rows", rows, 0))

    def split(
        self,
        args: tuple[Any, ...],
        whole: Callable[[tuple[Any, ...]], Collection[Any]],
    ) -> tuple[Share | None, tuple[Any, ...]]:
        """Return the share of this rank in a call, and the arguments with its rows.

        Args:
            args: the positional arguments of a call, the same on all ranks.
            whole: returns the positions of those that are no rows.

        """
        return split(self, args, whole)

    def exchange(self, parts: list[Array], content: str = "") -> Array:
        """Return the sum over all ranks of flat arrays, joined. It is one message.

        Args:
            parts: flat arrays of one dtype, float32, float64 or int32, of the same lengths on all
                ranks.
            content: what the message is, for errors.

        """
        if self._engine is None:
            return parts[0] if len(parts) == 1 else array_namespace(*parts).concat(parts)
        if self._failure:
            raise GroupError(self._failure)
        first = parts[0]
        xp = array_namespace(first)
        self._messages += 1
        length = sum(x.shape[0] for x in parts)
        self._content = content or f"sums {length} numbers of {dtype_name(first.dtype)}"
        mark = (31 * self._messages + length) % MARKS
        # MPICH ends a process that receives a part of a float64.
        padding = [0] * (length % 2)
        header = [*padding, 1, mark, mark**2, int(self.wants_stop)]
        flat = xp.concat([*parts, xp.asarray(header, dtype=first.dtype, device=device(first))])
        try:
            total = self._engine.sum(flat, self._waiting())
        except GroupError:
            raise
        except RuntimeError as error:
            self._call_roll(f"the engine failed: {error}", error)
        except (KeyboardInterrupt, SystemExit) as error:
            # The others have the sum, so this rank cannot go on with them.
            self._leave(error)
            raise
        behind = total[-HEADER:]
        found = [float(x) for x in get_backend(behind).to_host(behind)]
        if found[:3] != [self.size, self.size * mark, self.size * mark**2]:
            self._call_roll("the messages of the ranks do not fit together")
        self.stopping = self.stopping or found[3] > 0
        return total[:length]

    def _waiting(self) -> Callable[[], None]:
        """Return a function that an engine calls while it waits. It raises to give up."""
        engine = self._engine
        assert engine is not None
        begin = time.monotonic()
        next_look = begin + LOOK_INTERVAL

        def waiting() -> None:
            nonlocal next_look
            now = time.monotonic()
            if now < next_look:
                return
            next_look = now + LOOK_INTERVAL
            if engine.notes():
                self._call_roll("another rank does not go on")
            if now - begin > self.timeout:
                self._call_roll(f"a rank did not answer within {self.timeout:g} s")

        return waiting

    def _call_roll(self, reason: str, error: Exception | None = None) -> NoReturn:
        """Ask all ranks where they are, and raise GroupError with the names of those to blame."""
        engine = self._engine
        assert engine is not None
        self._post(WAITS, reason)
        until = time.monotonic() + ROLL_CALL
        notes: dict[int, Note] = {}
        while len(notes) < self.size - 1 and time.monotonic() < until:
            notes = self._read_notes()
            time.sleep(LOOK_INTERVAL)
        self._fail(self._blame(reason, notes), error)

    def _blame(self, reason: str, notes: dict[int, Note]) -> str:
        """Return a message that names the ranks whose fault it is."""
        stopped = [f"rank {rank} {note.text}" for rank, note in notes.items() if note.kind != WAITS]
        if stopped:
            return "; ".join(stopped)
        missing = [rank for rank in range(self.size) if rank not in notes and rank != self.rank]
        if missing:
            names = " and ".join(f"rank {rank}" for rank in missing)
            return f"{names} does not answer: it was killed, has ended or hangs ({reason})"
        places = {rank: note.place for rank, note in notes.items()}
        places[self.rank] = self._note(WAITS, "").place
        (usual, count), *others = Counter(places.values()).most_common()
        if not others:
            return reason
        if count > others[0][1]:
            places = {rank: place for rank, place in places.items() if place != usual}
            reason = f"each of the others {usual}; {reason}"
        shown = [f"rank {rank} {place}" for rank, place in sorted(places.items())]
        return (
            f"{', '.join(shown)}; {reason}. All ranks make the same calls, with arrays of the same "
            "shapes and dtypes"
        )

    def _note(self, kind: str, text: str) -> Note:
        return Note(kind, text, self._messages, self._content)

    def _post(self, kind: str, text: str) -> None:
        assert self._engine is not None
        try:
            self._engine.post(self._note(kind, text).dumped())
        except Exception:
            # The ranks that a note cannot reach are those that are gone.
            return

    def _read_notes(self) -> dict[int, Note]:
        assert self._engine is not None
        try:
            notes = self._engine.notes()
        except Exception:
            return {}
        return {rank: Note.loaded(text) for rank, text in sorted(notes.items())}

    def _fail(self, message: str, error: Exception | None = None) -> NoReturn:
        self._end(message)
        raise GroupError(message) from error

    def _end(self, reason: str) -> None:
        """Let every later call raise, and this process end without the others."""
        self._failure = reason
        if self._engine is not None:
            self._engine.give_up()

    def _leave(self, error: BaseException | None) -> None:
        """End the group by an error of this rank, and tell the others."""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        self._end(f"this rank has left the group by {text}")
        self._post(FAILED, f"failed: {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the group, and tell the others if it is by an error."""
        if self._engine is None:
            return
        if error is None and not self._failure:
            # A rank that leaves early meets a message of another one here.
            end = get_backend("numpy").asarray([0])
            self.exchange([end], "has come to the end of the group")
            self._engine.close()
            self._failure = "the group was left: open another one"
            return
        if not self._failure:
            self._leave(error)


def _check_scalars(node: object) -> None:
    """Raise ArgumentTypeError if a list, tuple or dict of a tree has a Python scalar."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for part in node:
            _check_scalars(part)
    elif isinstance(node, (int, float, complex)) and not is_array(node):
        raise ArgumentTypeError(
            f"a sum over all ranks was given {describe(node)}: wanted an array, as "
            "get_backend().asarray(1.0), or group.gather"
        )


def open_group(name: str | None = None, *, timeout: float = 300.0) -> Group:
    """Return the group of the processes that were started together.

    It is a context: ``with anynet.open_group() as group``. A process that was started alone gets a
    group of one, which costs nothing. See docs/guides/several_processes.md.

    Args:
        name: "mpi", "torch" (torchrun), or the name of another plug-in. By default the one that
            started this process.
        timeout: the seconds, above 0, after which a rank that does not answer is given up. All
            ranks then raise `GroupError`.

    Raises:
        ArgumentError: there is no group of this name, or the timeout is out of range.
        GroupError: the library of the group is not installed, or the ranks do not find each other.

    >>> with anynet.open_group() as group:
    ...     print(group.rank, group.size)
    0 1

    """
    if not 0 < timeout < float("inf"):
        raise ArgumentError(f"timeout is {timeout!r}: wanted seconds above 0, such as 300.0")
    kind = engine_class(name, os.environ)
    return Group(None if kind is None else kind(timeout), timeout)
