"""Read damaged and hostile files, and compare the outcome and the cost with reference readers.

    python ci/fuzz_files.py [--count 10000] [--seed 0] [--format idx] [--megabytes 1]

For a file with random damage, the reader must raise DataError or return the same data as a
reference reader. An attack is a file made to cost much time or memory. Costs are processor time and
Python's peak of allocated memory. They are given as multiples of the same reader's costs for the
intact file, or for an honest file as large as the attack.
"""

import argparse
import copy
import gzip
import hashlib
import io
import json
import math
import pickle
import random
import struct
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import anynet
from anynet import layers, optimizers, tree
from anynet.data import read_idx, write_idx
from anynet.data.pickled import read_pickled_arrays
from anynet.errors import AnynetError, DataError
from anynet.training import checkpoint

Arrays = dict[str, Any]

# Bytes with a special meaning in these formats.
SPECIAL = (
    b"\0",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"h\0",
    b"(",
    b"}",
)


@dataclass(frozen=True)
class Format:
    """A format: intact files, our reader, a reference reader of the same bytes, and attacks."""

    name: str
    intact: Callable[[random.Random], bytes]
    read: Callable[[Path], Arrays]
    reference: Callable[[bytes], Arrays]
    honest: Callable[[int], bytes]
    attacks: Callable[[int], dict[str, bytes]]
    # Returns a damaged file, and whether it may be read as other data than the intact one.
    damaged: "Callable[[bytes, random.Random], tuple[bytes, bool]] | None" = None


@dataclass
class Outcome:
    """Counts of the outcomes, the failures, and the worst costs as multiples of the intact
    file's.
    """

    refused: int = 0
    equal: int = 0
    failures: list[str] = field(default_factory=list)
    time: float = 0.0
    memory: float = 0.0


# ── the formats


def some_arrays(rng: random.Random, dtypes: tuple[str, ...]) -> Arrays:
    """Return one to four arrays of the dtypes, of up to three axes."""
    generator = np.random.default_rng(rng.getrandbits(32))
    found: Arrays = {}
    for i in range(rng.randint(1, 4)):
        shape = [rng.randint(1, 6) for _ in range(rng.randint(0, 3))]
        dtype = np.dtype(rng.choice(dtypes))
        high = 2 if dtype.kind == "b" else 100
        found[f"layers.{i}.weight"] = generator.integers(0, high, shape).astype(dtype)
    return found


def intact_pickle(rng: random.Random) -> bytes:
    """Return a pickled dict of arrays: any protocol, shared arrays, Fortran order, big-endian
    dtypes.
    """
    arrays = some_arrays(rng, ("f2", "f4", "f8", ">f8", ">c8", "i2", "i8", "u1", "?"))
    if rng.random() < 0.3:
        arrays["again"] = arrays["layers.0.weight"]
    if rng.random() < 0.3:
        arrays["fortran"] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    return pickle.dumps(arrays, rng.randint(0, pickle.HIGHEST_PROTOCOL))


class Restricted(pickle.Unpickler):
    """Python's own unpickler, for files that our reader has accepted."""

    def find_class(self, module: str, name: str) -> Any:
        """Allow the names that NumPy writes."""
        if name in (
            "_reconstruct",
            "_frombuffer",
            "ndarray",
            "dtype",
            "encode",
            "bytes",
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(name)


def reference_pickle(content: bytes) -> Arrays:
    """Return the arrays that Python's unpickler reads."""
    found = Restricted(io.BytesIO(content), encoding="latin1").load()
    return {
        name if isinstance(name, str) else name.decode("latin1"): x for name, x in found.items()
    }


def pickle_attacks(size: int) -> dict[str, bytes]:
    """Return pickles of about this size, each made to cost much time or memory."""
    head, k = b"\x80\x02", size // 2
    whole = pickle.dumps({"w": np.ones(k // 8)}, 2)[:-1]
    again = b"".join(b"X\x06\x00\x00\x00%06dh\xff" % i for i in range(k // 13))
    text = struct.pack("<I", k) + b"a" * k + b"q\x01"
    encode = b"c_codecs\nencode\nq\x02X\x06\x00\x00\x00latin1q\x03X" + text
    shape = b"J" + struct.pack("<i", k) + b"\x85"
    first = b"B" + text + b"cnumpy\ndtype\nU\x02u1\x89\x88\x87Rq\x03" + shape + b"X\x01\0\0\0CtRs("
    shared = b"h\x02(h\x01h\x03" + shape + b"X\x01\0\0\0CtR"
    buffers = b"U\x01acnumpy.core.numeric\n_frombuffer\nq\x02(" + first
    buffers += b"".join(
        b"X\x06\x00\x00\x00%06d" % i + shared for i in range(k // (11 + len(shared)))
    )
    return {
        "tuples that double, then as a key": head
        + b"("
        + b")"
        + b"q\0h\0\x86" * (size // 5)
        + b"Nd.",
        "tuples that double 40 times": head
        + b"("
        + b")"
        + b"q\0h\0\x86" * 40
        + b"Nd."
        + b"N" * size,
        "a mark for each value": b"N" * k + b"(t" * (k // 2) + b".",
        "marks within marks": head + b"(" * size + b".",
        "tuples within tuples": head + b")" + b"\x85" * size + b".",
        "dicts within dicts": head + b"}" * size + b".",
        "dicts kept in the memo": head + b"}\x94" * k + b".",
        "one value memoized again and again": head + b"N" + b"\x94" * size + b".",
        "small tuples kept in the memo": head
        + (b"(" + b"K\x01\x85\x94" * 60 + b"t\x94") * (size // 243)
        + b".",
        "nothing but values": head + b"N" * size + b".",
        "a long integer": b"L" + b"9" * size + b"L\n.",
        "an integer of many bytes": head
        + b"\x8b"
        + struct.pack("<i", size)
        + b"\xff" * size
        + b".",
        "a huge place in the memo": head + b"N" + b"r\xff\xff\xff\xff" * (size // 5) + b".",
        "a long name, set again and again": head + b"}X" + text + b"Nh\x01" * (k // 4) + b"s.",
        "a long line without an end": b"c" + b"a" * size,
        "one text encoded again and again": head
        + encode
        + b"h\x02h\x01h\x03\x86R\x94" * (k // 9)
        + b".",
        "one array under many names": whole[:-1] + b"q\xffs(" + again + b"u.",
        "one buffer for many arrays": head + b"}" + buffers + b"u.",
        "a shape of many axes": head + b"(" + b"(K\x01(" + b"K\x01" * k + b"tt.",
        "frames": b"\x80\x04" + (b"\x95" + bytes(8)) * (size // 9) + b".",
        "a claim of more than there is": head + b"\x8e" + struct.pack("<Q", 2**62) + b"a" * size,
    }


def intact_idx(rng: random.Random) -> bytes:
    """Return an IDX file, gzipped or not."""
    (x, *_) = some_arrays(rng, ("u1", "i1", "i2", "i4", "f4", "f8")).values()
    x = np.atleast_1d(x)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, rng.choice(("x", "x.gz")))
        write_idx(path, x)
        return path.read_bytes()


def reference_idx(content: bytes) -> Arrays:
    """Return the array that NumPy reads after the header of an IDX file."""
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    dtype = {
        8: ">u1",
        9: ">i1",
        11: ">i2",
        12: ">i4",
        13: ">f4",
        14: ">f8",
    }[content[2]]
    start = 4 + 4 * content[3]
    if content[:2] != b"\0\0":
        raise ValueError("not an IDX file")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    return {"": np.frombuffer(content[start:], dtype).reshape(shape)}


def idx_attacks(size: int) -> dict[str, bytes]:
    """Return IDX files of about this size, each made to cost much time or memory."""
    header = bytes((0, 0, 8, 1))
    huge = header + struct.pack(">I", 2**30 - 1)
    empty = gzip.compress(b"", mtime=0)
    named = b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * size + b"\0"
    return {
        "a claim of a gigabyte": huge + bytes(size),
        "a claim of a gigabyte, gzipped": gzip.compress(huge) + b"\0" * size,
        "255 axes": bytes((0, 0, 8, 255)) + b"\0\0\0\1" * 255 + bytes(size),
        "255 huge axes": bytes((0, 0, 8, 255)) + b"\xff\xff\xff\xff" * 255 + bytes(size),
        "a gzip bomb": gzip.compress(header + struct.pack(">I", 6) + bytes(1000 * size)),
        "many empty gzip members": empty * (size // len(empty)),
        "a long name in gzip's header": named,
    }


def intact_safetensors(rng: random.Random) -> bytes:
    """Return a safetensors file."""
    from safetensors.numpy import save

    return save(
        some_arrays(rng, ("f2", "f4", "f8", "i1", "i4", "i8", "u1", "?")),
        {"epoch": "3"},
    )


def reference_safetensors(content: bytes) -> Arrays:
    """Return the arrays that the format's own package reads."""
    from safetensors.numpy import load

    return load(content)


def _safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def safetensors_attacks(size: int) -> dict[str, bytes]:
    """Return safetensors files of about this size, each made to cost much time or memory."""
    empty = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    many = "{" + ",".join(f'"{i}":{empty}' for i in range(size // 60)) + "}"
    axes = json.dumps(
        {
            "a": {
                "dtype": "F32",
                "shape": [0] * (size // 3),
                "data_offsets": [0, 0],
            }
        }
    )
    long_ = json.dumps({"a" * size: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})
    whole = {
        "dtype": "U8",
        "shape": [size // 2],
        "data_offsets": [0, size // 2],
    }
    overlap = json.dumps({str(i): whole for i in range(size // 140)})
    return {
        "a huge header": struct.pack("<Q", 2**63) + b"{" * size,
        "a header of a hundred megabytes": struct.pack("<Q", 10**8 - 1) + b"{" * size,
        "many empty arrays": _safetensors(many.encode()),
        "many axes": _safetensors(axes.encode()),
        "a long name": _safetensors(long_.encode()),
        "lists within lists": _safetensors(b'{"a":' + b"[" * size),
        "a metadata of many texts": _safetensors(
            json.dumps({"__metadata__": {str(i): "" for i in range(size // 12)}}).encode()
        ),
        "one stretch for many arrays": _safetensors(overlap.encode(), bytes(size // 2)),
    }


def numpy_of(found: Any) -> Any:
    """Return an array, in the machine's byte order."""
    x = np.asarray(found)
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def honest_idx(size: int) -> bytes:
    """Return an IDX file with this much data."""
    return bytes((0, 0, 8, 1)) + struct.pack(">I", size) + bytes(size)


def honest_safetensors(size: int) -> bytes:
    """Return a safetensors file with this much data."""
    from safetensors.numpy import save

    return save({"w": np.zeros(size // 4, "f4")})


def run_of(path: Path | None) -> Arrays:
    """Return the arrays of a run of one epoch, which is complete in an intact checkpoint."""
    net = layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.Dropout(0.5),
        layers.Linear(4, 2),
        seed=0,
        backend="numpy",
    )
    optimizer = optimizers.Adam(0.01)
    x, t = np.arange(12, dtype="f4").reshape(4, 3), np.asarray([0, 1, 1, 0])
    history = anynet.fit(
        net,
        (x, t),
        batch_size=2,
        epochs=1,
        optimizer=optimizer,
        checkpoint=path,
        progress=False,
    )
    slots = tree.leaves(optimizer.state, "optimizer")
    return dict([*tree.leaves(net), *slots]) | {"losses": np.asarray(history.losses)}


@cache
def whole_run() -> tuple[bytes, Arrays]:
    """Return an intact checkpoint and its run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.safetensors")
        found = run_of(path)
        return path.read_bytes(), found


def some_value(rng: random.Random) -> Any:
    """Return a JSON value of a random type."""
    return rng.choice(
        (
            None,
            True,
            -1,
            0,
            3,
            2**70,
            1.5,
            math.nan,
            "",
            "x",
            [],
            [1],
            {},
            {"$array": "x"},
            {"$tuple": 3},
        )
    )


def change_json(value: Any, rng: random.Random) -> Any:
    """Return a JSON value with one part renamed, removed, swapped, or of another type."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return some_value(rng)
    value = copy.copy(value)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = rng.choice(keys)
    match rng.randrange(6):
        case 0:
            del value[key]
        case 1 if isinstance(value, dict):
            value[f"{key}x"] = value.pop(key)
        case 2:
            other = rng.choice(keys)
            value[key], value[other] = value[other], value[key]
        case _:
            value[key] = change_json(value[key], rng)
    return value


def damage_run(content: bytes, rng: random.Random) -> tuple[bytes, bool]:
    """Return a damaged checkpoint: changed bytes, or a changed header, at times with the checksum
    that belongs to it.
    """
    if rng.random() < 0.5:
        return mutate(content, rng), False
    length = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:length])
    if rng.random() < 0.5:
        header = change_json(header, rng)
    elif isinstance(header.get("__metadata__"), dict):
        texts = header["__metadata__"]
        key = rng.choice(("anynet.run", "anynet.run", "anynet.tied", "anynet.format"))
        texts[key] = json.dumps(change_json(json.loads(texts[key]), rng))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    is_signed = rng.random() < 0.5
    if is_signed:
        place = text.find(b'"anynet.sha256":"') + 17
        blank = text[:place] + b"0" * 64 + text[place + 64 :]
        data = _safetensors(blank, content[length:])
        digest = hashlib.sha256(data).hexdigest().encode()
        text = blank[:place] + digest + blank[place + 64 :]
    return _safetensors(text, content[length:]), is_signed


FORMATS = {
    "run": Format(
        "run",
        lambda rng: whole_run()[0],
        run_of,
        lambda content: whole_run()[1],
        honest_safetensors,
        safetensors_attacks,
        damage_run,
    ),
    "idx": Format(
        "idx",
        intact_idx,
        lambda path: {"": read_idx(path)},
        reference_idx,
        honest_idx,
        idx_attacks,
    ),
    "safetensors": Format(
        "safetensors",
        intact_safetensors,
        lambda path: checkpoint.read(path, "numpy"),
        reference_safetensors,
        honest_safetensors,
        safetensors_attacks,
    ),
    "pickle": Format(
        "pickle",
        intact_pickle,
        lambda path: read_pickled_arrays(path, "numpy"),
        reference_pickle,
        lambda size: pickle.dumps({"w": np.zeros(size // 4, "f4")}),
        pickle_attacks,
    ),
}


# ── damage


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return the content with one to four changes: bytes changed, cut off, taken out, put in,
    repeated or swapped.
    """
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        # Most parsing depends on the first bytes.
        place = rng.randrange(min(len(found), rng.choice((16, 80, 10**9))) + 1)
        length = rng.randrange(1, 9)
        match rng.randrange(8):
            case 0 if place < len(found):
                found[place] ^= 1 << rng.randrange(8)
            case 1 if place < len(found):
                found[place] = rng.randrange(256)
            case 2:
                special = rng.choice(SPECIAL)
                found[place : place + len(special)] = special
            case 3:
                del found[place:]
            case 4:
                del found[place : place + length]
            case 5:
                found[place:place] = rng.randbytes(length)
            case 6:
                found[place:place] = found[place : place + length * 4]
            case _:
                found += rng.randbytes(length)
    return bytes(found)


def _changed(content: bytes, rng: random.Random) -> tuple[bytes, bool]:
    return mutate(content, rng), False


def cost(read: Callable[[Path], Arrays], path: Path) -> tuple[Any, float, int]:
    """Return a reader's outcome for a file, its processor time and its peak memory."""
    tracemalloc.start()
    try:
        found = outcome(read, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    start = time.process_time()
    outcome(read, path)
    return found, time.process_time() - start, peak


def outcome(read: Callable[[Path], Arrays], path: Path) -> Any:
    """Return the arrays, or the error."""
    try:
        return {name: numpy_of(x) for name, x in read(path).items()}
    except Exception as error:
        return error.with_traceback(None)


def alike(found: Arrays, wanted: Arrays) -> bool:
    """Return whether names, dtypes, shapes and bits are the same."""
    if sorted(found) != sorted(wanted):
        return False
    both = [(found[name], numpy_of(wanted[name])) for name in found]
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in both
    )


def verdict(format_: Format, found: Any, content: bytes) -> str:
    """Return "refused", "equal", or in words why our reader is wrong."""
    if isinstance(found, AnynetError if format_.damaged else DataError):
        return "refused"
    if isinstance(found, Exception):
        return f"an error of another kind: {found!r:.200}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = format_.reference(content)
    except Exception as error:
        return f"data, where the reference has {error!r:.200}"
    return "equal" if alike(found, wanted) else "other data than the reference's"


def damage(format_: Format, count: int, seed: int, folder: Path) -> Outcome:
    """Read this many damaged files."""
    rng, result, path = random.Random(seed), Outcome(), folder / "damaged"
    for i in range(count):
        if i % 20 == 0:
            content = format_.intact(rng)
            path.write_bytes(content)
            whole = [cost(format_.read, path) for _ in range(3)]
            if verdict(format_, whole[0][0], content) != "equal":
                result.failures.append(f"intact file {i}: {verdict(format_, whole[0][0], content)}")
            # Some clocks tick slowly.
            plain_time, plain_memory = (
                max(1e-5, min(t for _, t, _ in whole)),
                max(p for _, _, p in whole),
            )
        changed, may_differ = (format_.damaged or _changed)(content, rng)
        path.write_bytes(changed)
        found, seconds, peak = cost(format_.read, path)
        word = verdict(format_, found, changed)
        if word == "refused":
            result.refused += 1
        elif word == "equal" or (may_differ and isinstance(found, dict)):
            result.equal += 1
        else:
            result.failures.append(f"file {i} of seed {seed}, {changed[:60]!r}…: {word}")
        if seconds > result.time * plain_time:
            # Other processes may slow a run down, so the quickest of three counts.
            seconds = min(seconds, *(cost(format_.read, path)[1] for _ in range(2)))
        result.time = max(result.time, seconds / plain_time)
        result.memory = max(result.memory, peak / plain_memory)
    return result


def attacks(
    format_: Format, size: int, folder: Path
) -> Iterator[tuple[str, str, float, float, float]]:
    """Yield name, outcome, seconds, time and memory of each attack, as multiples of an honest
    file's as large.
    """
    path = folder / "attack"
    path.write_bytes(format_.honest(size))
    _, plain_time, plain_memory = min(
        (cost(format_.read, path) for _ in range(5)), key=lambda c: c[1]
    )
    for name, content in format_.attacks(size).items():
        path.write_bytes(content)
        found, seconds, peak = cost(format_.read, path)
        word = (
            "refused"
            if isinstance(found, AnynetError)
            else "read"
            if isinstance(found, dict)
            else repr(found)
        )
        yield (
            name,
            word,
            seconds,
            seconds / max(plain_time, 1e-5),
            peak / plain_memory,
        )


def main() -> int:
    """Print the outcomes. Return 1 if a reader failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--count",
        type=int,
        default=10_000,
        help="damaged files of each format",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        action="append",
        help="only this one; may be repeated",
    )
    parser.add_argument("--megabytes", type=float, default=1.0, help="size of each attack")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as name:
        for chosen in options.format or FORMATS:
            result = damage(FORMATS[chosen], options.count, options.seed, Path(name))
            failed |= bool(result.failures)
            print(
                f"{chosen}: {options.count:,} damaged files: {result.refused:,} refused, "
                f"{result.equal:,} equal, {len(result.failures):,} wrong; worst "
                f"{result.time:.1f} x the time and {result.memory:.1f} x the memory "
                "of the intact file"
            )
            for line in result.failures[:20]:
                print(f"  {line}")
            size = math.ceil(options.megabytes * 1e6)
            for attack, word, seconds, times, memory in attacks(FORMATS[chosen], size, Path(name)):
                failed |= word not in ("refused", "read")
                costs = f"{seconds:8.3f} s {times:9.1f} x time {memory:6.1f} x memory"
                print(f"  {attack:42} {word:10.60} {costs}")
            sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
