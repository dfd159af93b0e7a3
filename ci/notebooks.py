"""Make and run the notebooks of examples/notebooks. Their sources are MyST Markdown.

    python ci/notebooks.py --write                  make each .ipynb
    python ci/notebooks.py --check                  fail where an .ipynb differs from its source
    python ci/notebooks.py --run                    run every notebook, and print the seconds
    python ci/notebooks.py --run --backend torch chapter2 any_device
    python ci/notebooks.py --run --output FOLDER    keep the notebooks with their outputs

--write also formats the code of the sources, and copies the first cell of chapter2 into the others.
They keep their line EXTRA_PACKAGES.

A notebook runs headless, in a new kernel and an empty folder. An error in a cell ends it. The
script prints the cell and exits with 1 after the last notebook.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples/notebooks"
#: The notebook whose first cell all others have.
FIRST = FOLDER / "chapter2.md"
CODE_CELL = re.compile(r"```\{code-cell\}.*?^```$", re.M | re.S)
EXTRA_PACKAGES = re.compile(r"^EXTRA_PACKAGES = .*$", re.M)
#: Seconds that one cell may take.
CELL_TIMEOUT = 300


def sources(names: list[str] | None = None) -> list[Path]:
    """Return the sources of the notebooks with these names, of all of them by default."""
    every = {path.stem: path for path in sorted(FOLDER.glob("*.md")) if path.stem != "README"}
    unknown = sorted(set(names or ()) - set(every))
    if unknown:
        raise SystemExit(f"no notebook {', '.join(unknown)}: wanted {', '.join(every)}")
    return [every[name] for name in names or every]


def notebook(source: Path) -> Any:
    """Return the notebook of a source, without outputs. The identifiers of its cells are fixed."""
    import jupytext
    import nbformat

    read = jupytext.read(source, fmt="md:myst")
    read.metadata = nbformat.from_dict(
        {"kernelspec": read.metadata.kernelspec, "language_info": {"name": "python"}}
    )
    read.nbformat, read.nbformat_minor = 4, 5
    for number, cell in enumerate(read.cells):
        cell.id = f"{source.stem}-{number:02}"
    nbformat.validate(read)
    return read


def text(source: Path) -> str:
    """Return the contents of the .ipynb file of a source."""
    import nbformat

    written: str = nbformat.writes(notebook(source), indent=1)
    return written + "\n"


def first_cell(source: str) -> str:
    """Return the text of the first code cell of a source."""
    found = CODE_CELL.search(source)
    if found is None:
        raise SystemExit(f"no code cell after {source[:200]!r}")
    return found[0]


def with_first_cell(source: str) -> str:
    """Return the text of a source with the first cell of all notebooks and its own packages."""
    own = first_cell(source)
    packages = EXTRA_PACKAGES.search(own)
    common = first_cell(FIRST.read_text(encoding="utf-8"))
    if packages is not None:
        common = EXTRA_PACKAGES.sub(lambda _: packages[0], common)
    return source.replace(own, common, 1)


def write(source: Path) -> None:
    """Write the first cell of a source, format its code with ruff, and make its .ipynb file."""
    import nbformat

    source.write_text(with_first_cell(source.read_text(encoding="utf-8")), encoding="utf-8")
    target = source.with_suffix(".ipynb")
    target.write_text(text(source), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", target], check=True)
    changed = source.read_text(encoding="utf-8")
    formatted = nbformat.read(target, as_version=4)
    for old, new in zip(notebook(source).cells, formatted.cells, strict=True):
        if old.source != new.source:
            changed = changed.replace(old.source, new.source, 1)
    source.write_text(changed, encoding="utf-8")
    target.write_text(text(source), encoding="utf-8")


def is_current(source: Path) -> bool:
    """Return whether the .ipynb file is the one that the source makes."""
    target = source.with_suffix(".ipynb")
    return target.exists() and target.read_text(encoding="utf-8") == text(source)


def run(source: Path, backend: str, output: Path | None = None) -> str | None:
    """Run a notebook on a backend. Return the error of a cell, None if there is none."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    # The notebook shows its figures, also where the environment asks for another way of drawing.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment["ANYNET_BACKEND"] = backend
    executed = notebook(source)
    with tempfile.TemporaryDirectory(prefix="anynet-notebook-") as folder:
        client = NotebookClient(
            executed,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],
        )
        try:
            client.execute(env=environment)
        except CellExecutionError as error:
            return _failed(executed, error)
        finally:
            if output is not None:
                output.mkdir(parents=True, exist_ok=True)
                nbformat.write(executed, output / f"{source.stem}.ipynb")
    return None


def _failed(executed: Any, error: Exception) -> str:
    """Return the number of the cell that failed, and the error."""
    failed = [
        number
        for number, cell in enumerate(executed.cells, 1)
        for shown in cell.get("outputs", ())
        if shown.output_type == "error"
    ]
    return f"cell {failed[0] if failed else '?'}:\n{error}"


def run_all(chosen: list[Path], backend: str, output: Path | None) -> int:
    """Run notebooks, print the seconds of each, and return how many failed."""
    failures = 0
    for source in chosen:
        start = time.perf_counter()
        error = run(source, backend, output)
        seconds = time.perf_counter() - start
        print(f"{source.stem:12} {backend:8} {seconds:6.1f} s", flush=True)
        if error is not None:
            failures += 1
            print(f"{source.stem} failed in {error}", flush=True)
    return failures


def main() -> int:
    """Make, compare or run notebooks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--write", action="store_true")
    task.add_argument("--check", action="store_true")
    task.add_argument("--run", action="store_true")
    parser.add_argument("--backend", default=os.environ.get("ANYNET_BACKEND", "numpy"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("names", nargs="*", help="such as chapter2, default all")
    options = parser.parse_args()
    chosen = sources(options.names)
    if options.run:
        return min(run_all(chosen, options.backend, options.output), 1)
    if options.write:
        for source in chosen:
            write(source)
        return 0
    outdated = [source.stem for source in chosen if not is_current(source)]
    if outdated:
        print(f"{', '.join(outdated)}: the .ipynb differs: run python ci/notebooks.py --write")
    return min(len(outdated), 1)


if __name__ == "__main__":
    sys.exit(main())
