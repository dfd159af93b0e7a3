"""Build JupyterLite with anynet and the notebooks: Jupyter that runs in the browser, on Pyodide.

    pip install -e ".[lite]"
    python ci/jupyterlite.py docs/_build/extra/lite --mnist FOLDER

The site includes the folder docs/_build/extra. ``--mnist`` names a folder with MNIST's four files,
which a browser cannot download from their mirrors. Without it the notebooks of MNIST do not run.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: Runs before the notebook's own first cell, which installs with pip and finds anynet installed.
FIRST_CELL = """\
# JupyterLite: install anynet into this browser's Python.
%pip install -q anynet-nn matplotlib scikit-learn

import os

os.environ["ANYNET_OFFLINE"] = "1"
os.environ["ANYNET_DATA_DIR"] = "mnist"
"""
MNIST = "*-ubyte.gz"


def with_first_cell(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook that installs anynet in JupyterLite, with its kernel of Pyodide."""
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "jupyterlite",
        "metadata": {},
        "outputs": [],
        "source": FIRST_CELL,
    }
    kernel = {"display_name": "Python (Pyodide)", "language": "python", "name": "python"}
    metadata = notebook["metadata"] | {"kernelspec": kernel}
    return notebook | {"cells": [cell, *notebook["cells"]], "metadata": metadata}


def write_contents(folder: Path, mnist: Path | None) -> None:
    """Write the files that JupyterLite serves."""
    for path in sorted((ROOT / "examples/notebooks").glob("*.ipynb")):
        notebook = with_first_cell(json.loads(path.read_text(encoding="utf-8")))
        (folder / path.name).write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    if mnist is None:
        return
    files = sorted(mnist.glob(MNIST))
    if not files:
        raise SystemExit(f"{mnist} has no files {MNIST}: wanted MNIST's four files")
    (folder / "mnist").mkdir()
    for path in files:
        shutil.copy(path, folder / "mnist")


def run(*command: str | Path) -> None:
    """Run a module of Python. It prints only what went wrong."""
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Build the wheel, the contents and the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="the folder to write")
    parser.add_argument("--mnist", type=Path, help="a folder with MNIST's files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "contents").mkdir()
        write_contents(folder / "contents", options.mnist)
        run("build", "--wheel", "--outdir", folder / "wheels", ROOT)
        run(
            *("jupyter", "lite", "build", "--no-sourcemaps", "--no-unused-shared-packages"),
            f"--lite-dir={folder}",
            f"--contents={folder / 'contents'}",
            f"--piplite-wheels={next((folder / 'wheels').glob('*.whl'))}",
            f"--output-dir={options.output.resolve()}",
        )


if __name__ == "__main__":
    main()
