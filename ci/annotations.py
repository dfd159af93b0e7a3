"""Count the parameters whose annotation is ``Any``, in anynet and in its backends.

    python ci/annotations.py                    anynet and its backends
    python ci/annotations.py --list             where each of them is
    python ci/annotations.py --check            fail where more are ``Any`` than the bound permits

A parameter counts when it has an annotation: positional, keyword-only, ``*args`` or ``**kwargs``,
of a function, a method or a function inside one. It is ``Any`` when the annotation is that name, or
an alias of it such as ``Array: TypeAlias = Any``. ``list[Any]`` and ``Any | None`` hold an ``Any``
and are counted in a column of their own.
"""

import argparse
import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from source import ROOT, python_files

#: The largest share that ``--check`` permits, by folder.
BOUNDS = {"anynet": 0.15, "backends": 0.30}


@dataclass(frozen=True)
class Parameter:
    """An annotated parameter, and how much of its annotation is ``Any``."""

    path: Path
    line: int
    name: str
    is_any: bool
    holds_any: bool


def aliases_of_any(trees: Iterable[ast.Module]) -> set[str]:
    """Return ``Any`` and the names that modules define as equal to it, directly or by another
    alias.
    """
    definitions = [alias for tree in trees for alias in _aliases(tree)]
    names = {"Any"}
    grown = True
    while grown:
        more = {name for name, target in definitions if target in names} - names
        names |= more
        grown = bool(more)
    return names


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (alias, name) for every ``alias = name`` and ``alias: TypeAlias = name`` of a
    module.
    """
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=alias), value=ast.Name(id=name)):
                yield alias, name
            case ast.Assign(targets=[ast.Name(id=alias)], value=ast.Name(id=name)):
                yield alias, name


def parameters(path: Path, tree: ast.Module, names: set[str]) -> Iterator[Parameter]:
    """Yield the annotated parameters of a module's functions, given the names that mean ``Any``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for argument in _arguments(node.args):
            if argument.annotation is not None:
                annotation = _parsed(argument.annotation)
                is_any = _name(annotation) in names
                holds_any = any(_name(part) in names for part in ast.walk(annotation))
                yield Parameter(path, argument.lineno, argument.arg, is_any, holds_any)


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    variadic = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        *variadic,
    ]


def _parsed(annotation: ast.expr) -> ast.expr:
    """Return the expression of an annotation that is written as a string."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return ast.parse(annotation.value, mode="eval").body
    return annotation


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def measure(folders: Iterable[Path]) -> dict[str, list[Parameter]]:
    """Return the annotated parameters of each folder by its name. An alias may be defined in
    another folder.
    """
    trees: dict[str, dict[Path, ast.Module]] = {}
    for folder in folders:
        files = python_files([folder])
        trees[folder.name] = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}
    names = aliases_of_any(tree for folder in trees.values() for tree in folder.values())
    found: dict[str, list[Parameter]] = {}
    for name, modules in trees.items():
        found[name] = [x for path, tree in modules.items() for x in parameters(path, tree, names)]
    return found


def share(found: list[Parameter]) -> float:
    """Return the share of parameters that are ``Any``, 0 where there are none."""
    return sum(parameter.is_any for parameter in found) / max(len(found), 1)


def main() -> None:
    """Print the shares, or with ``--check`` fail where one exceeds its bound."""
    parser = argparse.ArgumentParser(description="Count parameters annotated as Any.")
    folders = [ROOT / name for name in BOUNDS]
    parser.add_argument("folders", nargs="*", type=Path, default=folders, metavar="FOLDER")
    parser.add_argument(
        "--list",
        action="store_true",
        help="show each parameter that is Any",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail where a bound is exceeded",
    )
    arguments = parser.parse_args()
    problems: list[str] = []
    for name, found in measure(arguments.folders).items():
        inside = sum(parameter.holds_any and not parameter.is_any for parameter in found)
        print(
            f"{name}: {len(found):,} parameters, {share(found):.1%} Any, "
            f"{inside / max(len(found), 1):.1%} hold an Any"
        )
        if arguments.list:
            for parameter in found:
                if parameter.is_any:
                    print(f"  {parameter.path}:{parameter.line}: {parameter.name}")
        if share(found) > BOUNDS.get(name, 1):
            problems.append(
                f"{name}: {share(found):.1%} of the parameters are Any, wanted at most "
                f"{BOUNDS[name]:.0%}"
            )
    if arguments.check and problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
