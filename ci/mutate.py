"""Change the code in small ways, and list the changes that no test catches. Run it by hand, not in
CI.

python ci/mutate.py anynet/random.py anynet/layers          20 mutants of these files and folders
python ci/mutate.py anynet --count 200 --seed 3             200 mutants, sampled with another seed
python ci/mutate.py anynet/random.py --list                 all mutants of a file, without running a
test

The first run records which lines each test reaches on NumPy, and its time, in build/mutate.json.
This takes some minutes, and happens again when the code changes. Each mutant then runs the tests
that reach it, in a temporary copy of the checkout, until one fails. A mutant that survives is
equivalent to the code, or shows a hole in the tests.
"""

import argparse
import ast
import copy
import hashlib
import json
import multiprocessing
import os
import queue
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from difflib import unified_diff
from itertools import accumulate, compress
from pathlib import Path
from typing import Any, TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: The seconds after which no further test of other modules is tried.
LONGEST = 20.0
FOLDERS = ("anynet", "backends", "tests", "ci", "examples")

BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
#: Forks a process for each mutant, with the slow imports done, and without anynet.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "hypothesis",
        "scipy.ndimage",
        "scipy.stats",
        "torch",
        "array_api_strict",
        "sklearn.datasets",
        "rich.progress",
    ]
)

STATEMENTS = ast.Expr | ast.AugAssign | ast.Delete | ast.Raise | ast.Continue | ast.Break


@dataclass(frozen=True)
class Mutant:
    """A file with one change: other text between two byte offsets."""

    path: str
    line: int
    #: The lines from the beginning of the statement to the change.
    lines: range
    kind: str
    source: str
    place: tuple[int, int]
    other: str

    @property
    def changed(self) -> str:
        """The file after the change."""
        text, (first, last) = self.source.encode(), self.place
        return (text[:first] + self.other.encode() + text[last:]).decode()

    def diff(self) -> str:
        """Return the lines that differ, one before and one after each."""
        lines = unified_diff(
            self.source.splitlines(),
            self.changed.splitlines(),
            lineterm="",
            n=0,
        )
        return "\n".join(
            line for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@"
        )


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield all mutants of a file."""
    source = path.read_text()
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for kind, statement, node, other in _changes(ast.parse(source)):
        if isinstance(node, ast.expr) and ast.dump(ast.parse(other, mode="eval").body) == ast.dump(
            node
        ):
            # Two arguments that are the same.
            continue
        end = node.end_lineno or node.lineno
        # Offsets count bytes, lines count from 1.
        place = (
            starts[node.lineno - 1] + node.col_offset,
            starts[end - 1] + (node.end_col_offset or 0),
        )
        reached = range(statement.lineno, end + 1)
        yield Mutant(
            str(path.relative_to(ROOT)),
            node.lineno,
            reached,
            kind,
            source,
            place,
            other,
        )


def _changes(
    tree: ast.Module,
) -> Iterator[tuple[str, ast.stmt, ast.expr | ast.stmt, str]]:
    """Yield the kind of each change, its statement, the node it replaces and the replacement."""
    for node, statement, within_message in _code(tree, tree.body[0]):
        if isinstance(node, STATEMENTS) or _stores(node):
            yield "dropped statement", statement, node, "pass"
        if within_message or not isinstance(node, ast.expr):
            continue
        for kind, other in _expressions(node):
            yield kind, statement, node, f"({ast.unparse(other)})"


def _is_strict(node: ast.AST) -> bool:
    """Return whether a node is the ``strict=True`` of a zip, which only asserts equal lengths."""
    return isinstance(node, ast.keyword) and node.arg == "strict"


def _stores(node: ast.AST) -> TypeGuard[ast.Assign]:
    """Return whether a statement assigns to an attribute or item. Code after it may need a name, so
    those stay.
    """
    return isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple)


def _code(
    node: ast.AST, statement: ast.stmt, within_message: bool = False
) -> Iterator[tuple[ast.AST, ast.stmt, bool]]:
    """Yield the nodes that affect behaviour: no annotations, docstrings, f-strings or imports.

    With each node come its statement, and whether it is part of an error message.
    """
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or name in (
                "annotation",
                "returns",
                "decorator_list",
                "type_params",
            ):
                continue
            if isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom) or _is_strict(child):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            within = child if isinstance(child, ast.stmt) else statement
            yield child, within, within_message
            yield from _code(
                child,
                within,
                within_message or isinstance(child, ast.Raise),
            )


def _expressions(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield replacements of an expression, each with its kind."""
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        yield "operator", _with(node, op=BINARY[type(node.op)]())
    elif isinstance(node, ast.Compare):
        for operator in COMPARISONS[type(node.ops[0])]:
            yield "comparison", _with(node, ops=[operator(), *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        yield (
            "and/or",
            _with(
                node,
                op=ast.Or() if isinstance(node.op, ast.And) else ast.And(),
            ),
        )
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield (
                "dropped condition",
                _with(node, values=rest) if len(rest) > 1 else rest[0],
            )
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield "dropped operator", node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "constant", ast.Constant(node.value + 1)
        yield "constant", ast.Constant(node.value - 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield (
            "constant",
            ast.Constant(2 * node.value if node.value else 1.0),
        )
    elif isinstance(node, ast.IfExp):
        yield "branches", _with(node, body=node.orelse, orelse=node.body)
    elif isinstance(node, ast.Call):
        for i in range(len(node.args) - 1):
            first, second = node.args[i : i + 2]
            if not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred):
                yield (
                    "swapped arguments",
                    _with(
                        node,
                        args=[
                            *node.args[:i],
                            second,
                            first,
                            *node.args[i + 2 :],
                        ],
                    ),
                )
        for i, keyword in enumerate(node.keywords):
            if keyword.arg and not _is_strict(keyword):
                yield (
                    "dropped argument",
                    _with(
                        node,
                        keywords=node.keywords[:i] + node.keywords[i + 1 :],
                    ),
                )


def _with(node: ast.expr, **fields: object) -> ast.expr:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


class Recorder:
    """A pytest plug-in that records the lines that each test reaches, and its time."""

    def __init__(self, root: Path) -> None:
        import coverage

        self.root = root
        source = [str(root / "anynet"), str(root / "backends")]
        self.coverage = coverage.Coverage(data_file=None, config_file=False, source=source)
        self.coverage.start()
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Attribute the lines and the time that follow to this test."""
        self.coverage.switch_context(item.nodeid)
        start = time.process_time()
        result = yield
        self.seconds[item.nodeid] = time.process_time() - start
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test that fails without a mutant."""
        if report.failed:
            self.failed.add(report.nodeid)

    def write(self, path: Path) -> None:
        """Write a file: {"seconds": {test: ...}, "lines": {file: {line: [test, ...]}}}."""
        self.coverage.stop()
        found = self.coverage.get_data()
        passed = {
            name: seconds for name, seconds in self.seconds.items() if name not in self.failed
        }
        lines = {
            str(Path(name).relative_to(self.root)): {
                line: tests
                for line, contexts in found.contexts_by_lineno(name).items()
                if (tests := sorted(passed.keys() & set(contexts)))
            }
            for name in found.measured_files()
        }
        path.write_text(
            json.dumps(
                {
                    "seconds": passed,
                    "lines": lines,
                    "failed": sorted(self.failed),
                }
            )
        )


class Chosen:
    """A pytest plug-in that runs only some tests, in a given order, and ends the process if one
    hangs.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = seconds

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the chosen tests, in their order."""
        known = {item.nodeid: item for item in items}
        items[:] = [known[name] for name in self.seconds if name in known]

    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Start the clocks of a test."""
        # The first limit is of processor time, because the machine may be busy. The second one is
        # for deadlocks.
        signal.setitimer(signal.ITIMER_PROF, 5 + 10 * self.seconds[item.nodeid])
        signal.setitimer(signal.ITIMER_REAL, 60 + 60 * self.seconds[item.nodeid])


class Record:
    """Which tests reach which lines."""

    def __init__(
        self,
        seconds: dict[str, float],
        lines: dict[str, dict[str, list[str]]],
    ) -> None:
        self.seconds = seconds
        self.lines = lines

    def tests(self, mutant: Mutant) -> list[list[str]]:
        """Return a mutant's tests in two parts, each ordered by time: those of the module's own
        file, then the others.

        No test reaches code that runs at import, such as a default. For that, all tests that reach
        the module count.
        """
        lines = self.lines.get(mutant.path, {})
        reached = {test for line in mutant.lines for test in lines.get(str(line), ())}
        if not reached:
            reached = {test for tests in lines.values() for test in tests}
            reached |= {test for test in self.seconds if _file(test) == "tests/test_signatures.py"}
        parts = Path(mutant.path).with_suffix("").parts[1:]
        mirror = "/".join(("tests", *parts[:-1], f"test_{parts[-1]}.py"))
        if not (ROOT / mirror).exists():
            counts = Counter(map(_file, sorted(reached)))
            mirror = max(
                counts,
                key=lambda name: counts[name],
                default="tests/test_signatures.py",
            )
        # A cached function runs only in the first test, so all tests of the module's file count.
        first = {test for test in self.seconds if _file(test) == mirror}
        order = sorted(
            self.seconds,
            key=lambda test: (test not in reached, self.seconds[test]),
        )
        others = [test for test in order if test in reached - first]
        within = [
            seconds < LONGEST for seconds in accumulate(self.seconds[test] for test in others)
        ]
        return [
            [test for test in order if test in first],
            list(compress(others, within)),
        ]


def _file(test: str) -> str:
    return test.partition("::")[0]


class Copy:
    """A copy of the checkout, in which tests run."""

    def __init__(self, folder: str) -> None:
        self.root = Path(folder)
        for name in FOLDERS:
            shutil.copytree(
                ROOT / name,
                self.root / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        for path in (
            *ROOT.glob("*.md"),
            *ROOT.glob("*.toml"),
            *ROOT.glob("*.py"),
            *ROOT.glob(".pre*"),
        ):
            shutil.copy(path, self.root)

    def run(self, tests: Mapping[str, float], record: Path | None = None) -> str:
        """Return "passed", "failed" or "timeout"."""
        process = SERVER.Process(target=_test, args=(self.root, tests, record))
        process.start()
        process.join()
        if process.exitcode in (-signal.SIGPROF, -signal.SIGALRM):
            # Together with the processes that a test has started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)
            return "timeout"
        return "failed" if process.exitcode else "passed"

    def outcome(self, mutant: Mutant, record: Record) -> str:
        """Return "killed", "timeout" or "survived"."""
        path = self.root / mutant.path
        path.write_text(mutant.changed, encoding="utf-8")
        try:
            for tests in record.tests(mutant):
                if (
                    tests
                    and (found := self.run({test: record.seconds[test] for test in tests}))
                    != "passed"
                ):
                    return "killed" if found == "failed" else found
            return "survived"
        finally:
            path.write_text(mutant.source, encoding="utf-8")

    def record(self) -> Record:
        """Return the record of this code. Only test files that have changed since the last run are
        recorded again.
        """
        code = [path for folder in FOLDERS[:3] for path in (self.root / folder).rglob("*.py")]
        digests = {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in code
        }
        files = {
            name: digest for name, digest in digests.items() if Path(name).name.startswith("test_")
        }
        others = {name: digest for name, digest in digests.items() if name not in files}
        kept = ROOT / "build/mutate.json"
        found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
        if found.get("others") != others:
            found = {
                "others": others,
                "files": {},
                "seconds": {},
                "lines": {},
            }
        changed = sorted(
            name for name, digest in files.items() if found["files"].get(name) != digest
        )
        if changed:
            print(f"recording {len(changed)} files of tests", flush=True)
            new = self.root / "record.json"
            self.run(dict.fromkeys(changed, 0.0), new)
            for name, value in _merged(
                found,
                json.loads(new.read_text(encoding="utf-8")),
                {*changed},
            ).items():
                found[name] = value
            found["files"] = files
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(json.dumps(found))
        return Record(found["seconds"], found["lines"])


def _merged(old: dict[str, Any], new: dict[str, Any], changed: set[str]) -> dict[str, Any]:
    """Return the old record with the changed test files replaced by the new one's."""
    for test in new["failed"]:
        print(
            f"left out, because it fails without a mutant: {test}",
            flush=True,
        )
    seconds = {
        test: value for test, value in old["seconds"].items() if _file(test) not in changed
    } | new["seconds"]
    lines: dict[str, dict[str, list[str]]] = {}
    for path in {**old["lines"], **new["lines"]}:
        before, after = (record["lines"].get(path, {}) for record in (old, new))
        lines[path] = {
            line: [
                test
                for test in before.get(line, ())
                if test in seconds and _file(test) not in changed
            ]
            + after.get(line, [])
            for line in {**before, **after}
        }
    return {"seconds": seconds, "lines": lines}


def _test(root: Path, chosen: Mapping[str, float], record: Path | None = None) -> None:
    """Run tests in this process, and exit with pytest's code."""
    os.setpgrp()
    os.chdir(root)
    # Python would take cached bytecode for current if two changes of equal length fall in one
    # second.
    sys.dont_write_bytecode = True
    sys.path[:0] = folders = [str(root), str(root / "backends")]
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
        "--backend",
        "numpy",
    ]
    files = list(dict.fromkeys(map(_file, chosen)))
    if record is None:
        sys.exit(pytest.main(["-x", *options, *files], plugins=[Chosen(chosen)]))
    recorder = Recorder(root)
    pytest.main([*options, *files], plugins=[recorder])
    recorder.write(record)


def main() -> int:
    """Choose mutants, run their tests, and print the outcomes."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a file or folder, such as anynet/layers",
    )
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, choices=(1, 2), default=1)
    parser.add_argument(
        "--list",
        action="store_true",
        help="print all mutants and run nothing",
    )
    options = parser.parse_args()
    # The tests set it too, but the fork server has imported SciPy before.
    os.environ["SCIPY_ARRAY_API"] = "1"
    known = [
        mutant for name in options.paths for path in _files(ROOT / name) for mutant in mutants(path)
    ]
    if options.list:
        for mutant in known:
            print(f"{mutant.path}:{mutant.line} {mutant.kind}\n{mutant.diff()}")
        print(f"{len(known)} mutants")
        return 0
    chosen = random.Random(options.seed).sample(known, min(options.count, len(known)))
    chosen.sort(key=lambda mutant: (mutant.path, mutant.line))
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        places: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for _ in range(options.processes):
            place = Copy(stack.enter_context(tempfile.TemporaryDirectory(prefix="anynet-mutate-")))
            places.put(place)
        record = place.record()

        def judge(mutant: Mutant) -> str:
            place = places.get()
            try:
                return place.outcome(mutant, record)
            finally:
                places.put(place)

        pool = stack.enter_context(ThreadPoolExecutor(options.processes))
        for mutant, outcome in zip(chosen, pool.map(judge, chosen), strict=True):
            counts[outcome] += 1
            shown = "" if outcome == "killed" else f"\n{mutant.diff()}"
            print(
                f"{outcome:<8} {mutant.path}:{mutant.line} {mutant.kind}{shown}",
                flush=True,
            )
    noticed = counts["killed"] + counts["timeout"]
    print(
        f"\n{noticed} of {len(chosen)} noticed ({noticed / max(1, len(chosen)):.0%}): "
        f"{dict(counts)}"
    )
    return 0


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


if __name__ == "__main__":
    sys.exit(main())
