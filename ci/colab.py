"""Check that the first cell of each notebook adds anynet and array-api-compat to a cloud notebook,
and changes nothing else.

    python ci/colab.py [NAME==VERSION ...]
    python ci/colab.py --install [chapter2 ...]

The script makes an environment with an empty entry for each package in Colab (ci/colab.txt),
because some of them are not on the package index. It runs the first cell of every notebook there,
and asks pip for a dry run of the cell's command. Arguments replace versions of the list. The wheel
tags are those of the Python that runs this script. Colab had Python 3.13 in August 2026.

``--install`` installs the packages of Colab that anynet and the notebooks need, at the listed
versions. It runs the first cell, which installs anynet from the last commit of this checkout. It
fails where a package has changed. Then it runs the notebooks in that environment.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import notebooks

ROOT = Path(__file__).parents[1]
OURS = {"anynet-nn", "array-api-compat"}
#: The packages of Colab that ``--install`` installs.
REAL = (
    "ipykernel matplotlib nbclient numpy pooch protobuf rich safetensors scikit-learn scipy".split()
)
#: Stands for pip: writes the arguments to a file.
RECORDER = "import json, os, sys\njson.dump(sys.argv[1:], open(os.environ['RECORD'], 'w'))\n"
#: Stands for CuPy.
CUPY = "class cuda:\n    @staticmethod\n    def is_available():\n        return {gpu}\n"


def main(arguments: list[str]) -> int:
    """Check the first cells by a dry run, or an installation. Return 1 where one fails."""
    if arguments[:1] == ["--install"]:
        return install(arguments[1:])
    installed = colab(arguments)
    failures = 0
    dry_runs: dict[tuple[str, ...], dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="anynet-colab-") as folder:
        pretend(Path(folder), installed)
        for source in notebooks.sources():
            command, _ = first_cell(source, Path(folder))
            if tuple(command) not in dry_runs:
                dry_runs[tuple(command)] = dry_run(command, folder)
            added = dry_runs[tuple(command)]
            failures += report(source.stem, added, installed, asks_for_more(command))
    return min(failures, 1)


def colab(replaced: list[str]) -> dict[str, str]:
    """Return the versions of Colab's packages by name."""
    lines = (ROOT / "ci/colab.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in [*lines, *replaced] if not line.startswith("#"))


def pretend(folder: Path, installed: dict[str, str], gpu: bool = True) -> None:
    """Make an environment with an empty entry for each package. Its pip writes a record only."""
    venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
    packages = Path(_paths(folder)["purelib"])
    for name, version in installed.items():
        entry = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        entry.mkdir(parents=True)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (entry / "METADATA").write_text(metadata, encoding="utf-8")
        (entry / "INSTALLER").write_text("pip\n", encoding="utf-8")
        (entry / "RECORD").write_text("", encoding="utf-8")
    modules = {
        "cupy/__init__": CUPY.format(gpu=gpu),
        "pip/__main__": RECORDER,
    }
    for name, code in modules.items():
        path = packages / f"{name}.py"
        path.parent.mkdir()
        path.write_text(code, encoding="utf-8")


def first_cell(source: Path, folder: Path, **variables: str) -> tuple[list[str], str]:
    """Run the first cell of a notebook in a pretended environment.

    Return the arguments of pip, and the value of ANYNET_BACKEND that the cell has set.
    """
    code = first_code(source.with_suffix(".ipynb"))
    show = 'print(os.environ.get("ANYNET_BACKEND", ""))'
    record = folder / "record.json"
    record.unlink(missing_ok=True)
    own = {"ANYNET_SOURCE": ROOT.as_uri(), "RECORD": str(record)}
    done = subprocess.run(
        [python(folder), "-c", f"{code}\n{show}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=folder,
        env=_without_anynet() | own | variables,
    )
    command = json.loads(record.read_text(encoding="utf-8")) if record.exists() else []
    return command, done.stdout.strip()


def first_code(path: Path) -> str:
    """Return the code of the first code cell of an .ipynb file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    return "".join(code[0])


def asks_for_more(command: list[str]) -> bool:
    """Return whether the command installs other packages than those of every notebook."""
    common = {"install", "--quiet", "matplotlib", "pooch", "scikit-learn"}
    others = [argument for argument in command if argument not in common]
    return any("==" not in other and ":" not in other for other in others)


def dry_run(command: list[str], folder: str) -> dict[str, str]:
    """Return the names and versions that pip would install for this command."""
    pip = [sys.executable, "-m", "pip", "--python", folder]
    report = ["--dry-run", "--report", "-"]
    done = subprocess.run(
        [*pip, *command, *report],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
    )
    entries = [entry["metadata"] for entry in json.loads(done.stdout)["install"]]
    return {entry["name"]: entry["version"] for entry in entries}


def report(name: str, added: dict[str, str], installed: dict[str, str], more: bool) -> bool:
    """Print the packages that a notebook would add, and return whether one should not be there."""
    print(f"{name}: {', '.join(f'{package} {version}' for package, version in added.items())}")
    replaced = [package for package in added if package in installed]
    for package in replaced:
        print(f"  {package} {added[package]} replaces {installed[package]}")
    wanted = set(added) >= OURS if more else set(added) == OURS
    return bool(replaced) or not wanted


def install(names: list[str]) -> int:
    """Install packages of Colab, then run first cells and notebooks. Return 1 where one fails."""
    installed = colab([])
    with tempfile.TemporaryDirectory(prefix="anynet-colab-") as name:
        folder = Path(name)
        venv.create(folder, with_pip=True, symlinks=sys.platform != "win32")
        interpreter = python(folder)
        pins = [f"{package}=={installed[package]}" for package in REAL]
        # Colab has no jupytext, which reads the sources of the notebooks.
        subprocess.run(
            [interpreter, "-m", "pip", "install", "--quiet", *pins, "jupytext"], check=True
        )
        failures = 0
        for source in notebooks.sources(names):
            # The cell installs nothing where anynet is.
            pip = [interpreter, "-m", "pip", "--quiet"]
            subprocess.run([*pip, "uninstall", "--yes", *OURS], check=True)
            before = _freeze(interpreter)
            first_cell(source, folder, ANYNET_SOURCE=f"git+{ROOT.as_uri()}")
            after = _freeze(interpreter)
            new = {package: after[package] for package in after if package not in before}
            changed = [package for package in before if after.get(package) != before[package]]
            print(f"{source.stem}: added {new}, changed {changed}", flush=True)
            runner = [interpreter, notebooks.__file__, "--run", source.stem]
            done = subprocess.run(runner, check=False, env=_without_anynet())
            failures += bool(changed) or done.returncode != 0
    return min(failures, 1)


def _without_anynet() -> dict[str, str]:
    """Return the environment variables, without those that change where anynet comes from."""
    hidden = {"PYTHONPATH", "ANYNET_BACKEND", "ANYNET_SOURCE"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _paths(folder: Path) -> dict[str, str]:
    return sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})


def python(folder: Path) -> str:
    """Return the path of an environment's Python."""
    return str(Path(_paths(folder)["scripts"]) / "python")


def _freeze(interpreter: str) -> dict[str, str]:
    """Return the versions of the packages that an environment has."""
    listing = subprocess.run(
        [interpreter, "-m", "pip", "list", "--format", "json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {package["name"]: package["version"] for package in json.loads(listing.stdout)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
