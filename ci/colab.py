"""Check that installing anynet in a cloud notebook adds anynet and array-api-compat, and changes
nothing else.

    python ci/colab.py [NAME==VERSION ...]

The script makes an environment with an empty entry for each package in Colab (ci/colab.txt),
because some of them are not on the package index. It then asks pip for a dry run. Arguments replace
versions of the list. The wheel tags are those of the Python that runs this script. Colab had Python
3.13 in August 2026.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = {"anynet-nn", "array-api-compat"}


def main(replaced: list[str]) -> int:
    """Print the packages that pip would add or change. Return 1 unless they are ours alone."""
    lines = (ROOT / "ci/colab.txt").read_text(encoding="utf-8").splitlines()
    installed = dict(line.split("==") for line in [*lines, *replaced] if not line.startswith("#"))
    with tempfile.TemporaryDirectory(prefix="anynet-colab-") as folder:
        venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
        paths = sysconfig.get_paths("venv", {"base": folder, "platbase": folder})
        for name, version in installed.items():
            _pretend(Path(paths["purelib"]), name, version)
        found = _installs(sys.executable, "--python", folder)
    for name, version in found.items():
        print(
            f"{name} {version}"
            + (f", which replaces {installed[name]}" if name in installed else "")
        )
    return 0 if set(found) == OURS else 1


def _pretend(packages: Path, name: str, version: str) -> None:
    entry = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    entry.mkdir(parents=True)
    (entry / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        encoding="utf-8",
    )
    (entry / "INSTALLER").write_text("pip\n", encoding="utf-8")
    (entry / "RECORD").write_text("", encoding="utf-8")


def _installs(python: str, *target: str) -> dict[str, str]:
    """Return the names and versions that pip would install for this checkout."""
    report = ["--quiet", "--dry-run", "--report", "-"]
    command = [python, "-m", "pip", *target, "install", *report, str(ROOT)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
    )
    entries = [entry["metadata"] for entry in json.loads(done.stdout)["install"]]
    return {entry["name"]: entry["version"] for entry in entries}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
