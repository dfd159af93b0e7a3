"""The scripts that complete commands in a shell."""

import shutil
import subprocess
import sys

import pytest
from programs import ROOT

from anynet import cli

COMPLETES = """
{script}
COMP_WORDS=(anynet {words})
COMP_CWORD={index}
COMP_LINE="anynet {words}"
_shtab_anynet
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def script(capsys):
    pytest.importorskip("shtab", reason="completion needs shtab")

    def make(shell):
        assert cli.main(["completion", shell]) == 0
        return capsys.readouterr().out

    return make


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_has_the_commands(script, shell):
    text = script(shell)
    for word in ("train", "check", "bench", "backends", "completion", "learning-rate", "nadam"):
        assert word in text


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["tr"], {"train"}),
        (["b"], {"backends", "bench"}),
        (["train", "--ep"], {"--epochs"}),
        (["train", "--optimizer", "ada"], {"adagrad", "adam", "adamw"}),
        (["completion", "z"], {"zsh"}),
        (["train", "a:b", "--data", "mo"], {"moons"}),
        (["train", "--save", "CHANGEL"], {"CHANGELOG.md"}),
    ],
)
def test_completion_in_bash(script, words, completions):
    program = COMPLETES.format(script=script("bash"), words=" ".join(words), index=len(words))
    command = ["bash", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(done.stdout.split()) == completions


def test_without_shtab(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert "pip install shtab" in capsys.readouterr().err
