"""Python source as the measuring scripts read it: files, docstrings and tokens of code."""

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_LAYOUT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}
# From Python 3.12 on an f-string is several tokens. Before, it was one.
_FSTRING_START = getattr(tokenize, "FSTRING_START", None)
_FSTRING_END = getattr(tokenize, "FSTRING_END", None)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Docstring:
    """A docstring with the file and the line where it begins."""

    path: Path
    line: int
    text: str


@dataclass(frozen=True)
class Size:
    """Tokens of code and lines that carry one."""

    tokens: int = 0
    lines: int = 0

    def __add__(self, other: "Size") -> "Size":
        """Return the size of both together."""
        return Size(self.tokens + other.tokens, self.lines + other.lines)


def python_files(paths: Iterable[Path]) -> list[Path]:
    """Return the Python files among the paths and below them, each once, sorted.

    Raises:
        SystemExit: a path holds no Python file.

    """
    files: set[Path] = set()
    for path in paths:
        below = [path] if path.is_file() else list(path.rglob("*.py"))
        if not below:
            raise SystemExit(f"{path} holds no Python file: give a file or a folder of a package")
        files.update(below)
    return sorted(files)


def docstrings(path: Path) -> Iterator[Docstring]:
    """Yield the docstrings of a file's module, classes and functions, private ones included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Documented):
            text = ast.get_docstring(node)
            if text:
                yield Docstring(path, node.body[0].lineno, text)


def size(path: Path, name: str | None = None) -> Size:
    """Return the size of a file, or of the class or function of this name at its top level.

    Comments, docstrings, line ends and indentation do not count. An f-string counts as one token.

    Raises:
        SystemExit: the file does not define the name.

    """
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    if name is None:
        return _size(text, tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return _size(text, node)
    raise SystemExit(f"{path} does not define {name}: wanted the name of one at its top level")


def functions_decorated(path: Path, attribute: str) -> Size:
    """Return the size of the functions of a file decorated with ``@anything.attribute``."""
    text = path.read_text(encoding="utf-8")
    total = Size()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and _is_decorated(node, attribute):
            total += _size(text, node)
    return total


def _is_decorated(function: ast.FunctionDef, attribute: str) -> bool:
    called = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return any(isinstance(node, ast.Attribute) and node.attr == attribute for node in called)


def _size(text: str, tree: ast.Module | ast.ClassDef | ast.FunctionDef) -> Size:
    first, last = _span(tree)
    without = _docstring_lines(tree)
    tokens = 0
    lines: set[int] = set()
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        begin, end = token.start[0], token.end[0]
        if token.type in _LAYOUT or begin in without or not first <= begin <= last:
            continue
        lines.update(range(begin, end + 1))
        if token.type == _FSTRING_END:
            depth -= 1
            continue
        tokens += depth == 0
        depth += token.type == _FSTRING_START
    return Size(tokens, len(lines))


def _span(
    tree: ast.Module | ast.ClassDef | ast.FunctionDef,
) -> tuple[float, float]:
    if isinstance(tree, ast.Module):
        return 1, float("inf")
    begins = [
        tree.lineno,
        *(decorator.lineno for decorator in tree.decorator_list),
    ]
    return min(begins), tree.end_lineno or tree.lineno


def _docstring_lines(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, Documented) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines.update(
                range(
                    docstring.lineno,
                    (docstring.end_lineno or docstring.lineno) + 1,
                )
            )
    return lines
