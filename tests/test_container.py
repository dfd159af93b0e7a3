"""The container gets every file that an installation reads, and its notebook has no outputs."""

import json
import re
import tomllib

from programs import ROOT

FOLDER = ROOT / "examples/container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_gets_what_an_installation_reads():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    named = [project["project"]["readme"], *project["project"]["license-files"], *packages]
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert {"pyproject.toml", *(name.split("/")[0] for name in named)} == kept


def test_the_extras_of_the_image_are_in_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = re.findall(r"checkout\[([\w,]+)\]", DOCKERFILE)
    assert extras
    assert set(",".join(extras).split(",")) <= set(project["project"]["optional-dependencies"])


def test_neither_server_runs_as_root_or_answers_to_other_machines():
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)
    for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.M)[1:]:
        assert re.findall(r"^USER (\S+)$", stage, re.M)[-1] == "$READER_UID", users
    compose = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    ports = re.findall(r"- (\S+:8888)$", compose, re.M)
    assert ports == ["127.0.0.1:8888:8888", "127.0.0.1:8889:8888"]


def test_the_notebook_in_ruby_has_no_outputs():
    notebook = json.loads((ROOT / "examples/ruby/mnist.ipynb").read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["language"] == "ruby"
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert codes
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in codes)
