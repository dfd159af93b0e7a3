"""Print the sizes of anynet's main parts: tokens of code, and lines without docstrings and
comments.

python ci/sizes.py                              the parts below python ci/sizes.py anynet/layers
FILE:Class     files, folders, or a class or function in a file
"""

import argparse
from pathlib import Path

from source import ROOT, Size, functions_decorated, python_files, size

#: A part is files by pattern, or a class after a colon.
PARTS = {
    "Linear": ["anynet/layers/linear.py:Linear"],
    "Conv2d": ["anynet/layers/conv.py:Conv2d"],
    "BatchNorm": ["anynet/layers/norm.py:BatchNorm"],
    "Dropout": ["anynet/layers/dropout.py:Dropout"],
    "Module": ["anynet/layers/module.py:Module"],
    "trace, tape and gradients": [
        "anynet/tracing/trace.py",
        "anynet/autodiff/tape.py",
        "anynet/autodiff/gradients.py",
    ],
    "compiler": ["anynet/compiler/*.py"],
    "compiler in the backends": [
        "backends/*/target.py",
    ],
}
#: Functions with this decorator belong to the compiler, although they stand beside kernels.
LOWERING = "lowering"


def parts(root: Path) -> dict[str, Size]:
    """Return the size of each part in a checkout by its name.

    Raises:
        SystemExit: a part has no file.

    """
    found: dict[str, Size] = {}
    for name, patterns in PARTS.items():
        sizes = [size_of(path) for pattern in patterns for path in _matches(root, pattern)]
        if not sizes:
            raise SystemExit(
                f"{name} has none of {', '.join(patterns)}: correct PARTS in ci/sizes.py"
            )
        found[name] = sum(sizes, Size())
    lowerings = [functions_decorated(path, LOWERING) for path in python_files([root / "backends"])]
    found["compiler in the backends"] += sum(lowerings, Size())
    return found


def size_of(path: str) -> Size:
    """Return the size of a file, of the files in a folder, or of a class or function written
    ``FILE:NAME``.
    """
    file, _, name = path.partition(":")
    if name:
        return size(Path(file), name)
    return sum(map(size, python_files([Path(file)])), Size())


def _matches(root: Path, pattern: str) -> list[str]:
    file, colon, name = pattern.partition(":")
    return [f"{path}{colon}{name}" for path in sorted(root.glob(file))]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Print sizes of code.")
    parser.add_argument("paths", nargs="*", metavar="PATH[:NAME]")
    paths = parser.parse_args().paths
    sizes = {path: size_of(path) for path in paths} if paths else parts(ROOT)
    width = max(map(len, sizes))
    for name, part in sizes.items():
        rate = part.tokens / max(part.lines, 1)
        print(f"{name:{width}} {part.tokens:7,} tokens {part.lines:6,} lines {rate:5.1f} a line")


if __name__ == "__main__":
    main()
