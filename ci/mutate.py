"""Mutation: change the code in small ways, and see which changes no test notices. By hand, not in CI.

python ci/mutate.py anynet/random.py anynet/layers          20 mutants of these files and folders
python ci/mutate.py anynet --count 200 --seed 3             as many, chosen by another seed
python ci/mutate.py anynet/random.py --list                 all mutants of a file, without running a test

Each mutant runs the tests of its module on NumPy, in a temporary copy of the checkout, until one fails. A mutant that
survives is equivalent to the code, or shows a hole in the tests.
"""

import argparse
import ast
import contextlib
import copy
import math
import multiprocessing
import os
import queue
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).resolve().parents[1]

#: The tests of a module where they are not, or not only, in the file of its name. The longest prefix counts.
TESTS = {
    "anynet": ("tests",),
    "anynet/array.py": ("tests/test_backend.py", "tests/autodiff", "tests/test_functions.py"),
    "anynet/autodiff": ("tests/autodiff", "tests/test_compilation.py", "tests/layers/test_state.py"),
    "anynet/autodiff/batching.py": ("tests/test_numerical.py", "tests/test_gradient_check.py", "tests/autodiff"),
    "anynet/autodiff/buffers.py": ("tests/test_compilation.py",),
    "anynet/autodiff/recording.py": ("tests/test_compilation.py",),
    "anynet/autodiff/rules": ("tests/autodiff", "tests/test_dtypes.py"),
    "anynet/cli.py": ("tests/test_cli.py", "tests/test_bench.py"),
    "anynet/checkpoint.py": ("tests/test_checkpoint.py", "tests/layers/test_state.py"),
    "anynet/data": ("tests/data", "tests/test_training.py"),
    "anynet/data/idx.py": ("tests/data/test_idx.py", "tests/test_fuzz_files.py"),
    "anynet/data/idx_pairs.py": ("tests/data/test_idx_pairs.py", "tests/data/test_mnist.py"),
    "anynet/data/mnist.py": ("tests/data/test_mnist.py",),
    "anynet/display.py": ("tests/test_training.py",),
    "anynet/errors.py": ("tests/test_functions.py", "tests/layers"),
    "anynet/files.py": ("tests/test_files.py", "tests/test_checkpoint.py"),
    "anynet/layers": ("tests/layers", "tests/test_training.py"),
    "anynet/losses.py": ("tests/test_losses.py", "tests/test_primitives.py", "tests/test_training.py"),
    "anynet/pickled.py": ("tests/test_pickled.py", "tests/test_fuzz_files.py"),
    "anynet/plotting.py": ("tests/test_numerical.py", "tests/test_examples.py"),
    "anynet/primitives": (
        *("tests/test_kernels.py", "tests/test_functions.py", "tests/test_primitives.py", "tests/test_losses.py"),
        "tests/layers",
    ),
    "anynet/primitives/counting.py": ("tests/layers/test_summary.py",),
    "anynet/primitives/threefry.py": ("tests/test_random.py",),
    "anynet/primitives/update.py": ("tests/test_primitives.py", "tests/test_optimizers.py"),
    "anynet/targets.py": ("tests/test_training.py",),
    "anynet/schedulers.py": ("tests/test_optimizers.py",),
    "anynet/tree.py": ("tests/layers", "tests/test_optimizers.py", "tests/test_compilation.py", "tests/autodiff"),
    "backends/anynet_numpy": (
        *("tests/test_kernels.py", "tests/backends/test_numpy.py", "tests/test_primitives.py"),
        *("tests/layers", "tests/test_compilation.py"),
    ),
    "backends/anynet_strict": ("tests/test_backend.py",),
}

BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
#: Forks a process for each mutant, in which what takes long to import is there already, and anynet is not.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "pytest",
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
    """A file with one change."""

    path: str
    line: int
    kind: str
    source: str
    changed: str

    def diff(self) -> str:
        """Return the lines that differ, one before and one after each."""
        lines = unified_diff(self.source.splitlines(), self.changed.splitlines(), lineterm="", n=0)
        return "\n".join(line for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@")


def mutants(path: Path) -> Iterator[Mutant]:
    """Give all mutants of a file."""
    source = path.read_text(encoding="utf-8")
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for kind, node, other in _changes(ast.parse(source)):
        # Offsets count bytes, lines count from 1.
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        text = source.encode()
        changed = (text[:first] + other.encode() + text[last:]).decode()
        try:
            different = ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
        except SyntaxError:
            continue
        if different:
            yield Mutant(str(path.relative_to(ROOT)), node.lineno, kind, source, changed)


def _changes(tree: ast.AST) -> Iterator[tuple[str, ast.expr | ast.stmt, str]]:
    """Give the kind of each change, what it replaces, and by what."""
    for node, within_message in _code(tree):
        if isinstance(node, STATEMENTS) or _stores(node):
            yield "dropped statement", node, "pass"
        if within_message or not isinstance(node, ast.expr):
            continue
        for kind, other in _expressions(node):
            yield kind, node, f"({ast.unparse(other)})"


def _is_strict(node: ast.AST) -> bool:
    """Tell whether a node is the ``strict=True`` of a zip, which only tells what holds anyway."""
    return isinstance(node, ast.keyword) and node.arg == "strict"


def _stores(node: ast.AST) -> TypeGuard[ast.Assign]:
    """Tell whether a statement stores somewhere else than in a name, without which the code after it cannot run."""
    return isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple)


def _code(node: ast.AST, within_message: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Give the nodes that do something: no annotations, docstrings, texts or imports; and whether one is a message."""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            if isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom) or _is_strict(child):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            yield child, within_message
            yield from _code(child, within_message or isinstance(child, ast.Raise))


def _expressions(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Give what may stand in the place of an expression."""
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        yield "operator", _with(node, op=BINARY[type(node.op)]())
    elif isinstance(node, ast.Compare):
        for operator in COMPARISONS[type(node.ops[0])]:
            yield "comparison", _with(node, ops=[operator(), *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        yield "and/or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield "dropped condition", _with(node, values=rest) if len(rest) > 1 else rest[0]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield "dropped operator", node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "constant", ast.Constant(node.value + 1)
        yield "constant", ast.Constant(node.value - 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield "constant", ast.Constant(2 * node.value if node.value else 1.0)
    elif isinstance(node, ast.IfExp):
        yield "branches", _with(node, body=node.orelse, orelse=node.body)
    elif isinstance(node, ast.Call):
        for i in range(len(node.args) - 1):
            first, second = node.args[i : i + 2]
            if not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred):
                yield "swapped arguments", _with(node, args=[*node.args[:i], second, first, *node.args[i + 2 :]])
        for i, keyword in enumerate(node.keywords):
            if keyword.arg and not _is_strict(keyword):
                yield "dropped argument", _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])


def _with(node: ast.expr, **fields: object) -> ast.expr:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def tests_of(path: str) -> tuple[str, ...]:
    """Return the tests that belong to a module: the file of its name first, then those that the table has."""
    parts = Path(path).with_suffix("").parts[1:]
    mirror = "/".join(("tests", *parts[:-1], f"test_{parts[-1]}.py"))
    prefix = max((prefix for prefix in TESTS if path.startswith(prefix)), key=len)
    # All tests are for modules of which nothing is known.
    others = () if prefix == "anynet" and (ROOT / mirror).exists() else TESTS[prefix]
    found = [mirror] if (ROOT / mirror).exists() else []
    # Defaults are tested in one place for all modules.
    return tuple(dict.fromkeys([*found, "tests/test_signatures.py", *others]))


class Copy:
    """A copy of the checkout, in which tests run."""

    def __init__(self, folder: str) -> None:
        self.root = Path(folder)
        for name in ("anynet", "backends", "tests", "ci", "examples"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (*ROOT.glob("*.md"), ROOT / "pyproject.toml"):
            shutil.copy(path, self.root)

    def run(self, tests: Sequence[str], limit: float) -> str:
        """Return "passed", "failed" or "timeout"."""
        process = SERVER.Process(target=_test, args=(self.root, list(tests), limit))
        process.start()
        # The limit is of processor time: a machine that is busy with other things makes no mutant hang.
        process.join(10 * limit)
        if process.exitcode is None:
            # With the processes that a test has started.
            os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()
            return "timeout"
        return {0: "passed", -signal.SIGXCPU: "timeout"}.get(process.exitcode, "failed")

    def outcome(self, mutant: Mutant, limit: float) -> str:
        """Return what the tests say of a mutant."""
        path = self.root / mutant.path
        path.write_text(mutant.changed, encoding="utf-8")
        try:
            found = self.run(tests_of(mutant.path), limit)
            return {"passed": "survived", "failed": "killed"}.get(found, found)
        finally:
            path.write_text(mutant.source, encoding="utf-8")


def _test(root: Path, tests: list[str], limit: float) -> None:
    """Run tests in a process of their own, and exit with pytest's code."""
    import pytest

    os.setpgrp()
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 5))
    os.chdir(root)
    # Code that is compiled within the second of another change of the same length would be taken for it.
    sys.dont_write_bytecode = True
    sys.path[:0] = folders = [str(root), str(root / "backends")]
    os.environ |= {"PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"}
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    sys.exit(pytest.main([*options, "--backend", "numpy", *tests]))


def main() -> int:
    """Choose mutants, run their tests, and print what was noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file or folder, such as anynet/layers")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, choices=(1, 2), default=1)
    parser.add_argument("--list", action="store_true", help="print all mutants and run nothing")
    options = parser.parse_args()
    # The tests set it too, before they import SciPy, which is imported already.
    os.environ["SCIPY_ARRAY_API"] = "1"
    known = [mutant for name in options.paths for path in _files(ROOT / name) for mutant in mutants(path)]
    if options.list:
        for mutant in known:
            print(f"{mutant.path}:{mutant.line} {mutant.kind}\n{mutant.diff()}")
        print(f"{len(known)} mutants")
        return 0
    chosen = random.Random(options.seed).sample(known, min(options.count, len(known)))
    chosen.sort(key=lambda mutant: (mutant.path, mutant.line))
    counts: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        places: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for _ in range(options.processes):
            place = Copy(stack.enter_context(tempfile.TemporaryDirectory(prefix="anynet-mutate-")))
            places.put(place)
        limits = {tests: _limit(place, tests) for tests in dict.fromkeys(tests_of(mutant.path) for mutant in chosen)}

        def judge(mutant: Mutant) -> str:
            place = places.get()
            try:
                return place.outcome(mutant, limits[tests_of(mutant.path)])
            finally:
                places.put(place)

        pool = stack.enter_context(ThreadPoolExecutor(options.processes))
        for mutant, outcome in zip(chosen, pool.map(judge, chosen), strict=True):
            counts[outcome] += 1
            shown = "" if outcome == "killed" else f"\n{mutant.diff()}"
            print(f"{outcome:<8} {mutant.path}:{mutant.line} {mutant.kind}{shown}", flush=True)
    noticed = counts["killed"] + counts["timeout"]
    print(f"\n{noticed} of {len(chosen)} noticed ({noticed / max(1, len(chosen)):.0%}): {dict(counts)}")
    return 0


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _limit(place: Copy, tests: tuple[str, ...]) -> float:
    """Return the seconds that the tests may take, by what they take on the code as it is."""
    start = time.perf_counter()
    if (outcome := place.run(tests, 600)) != "passed":
        raise SystemExit(
            f"the tests of the unchanged code {outcome}: python -m pytest --backend numpy {' '.join(tests)}"
        )
    return max(20.0, 4 * (time.perf_counter() - start))


if __name__ == "__main__":
    sys.exit(main())
