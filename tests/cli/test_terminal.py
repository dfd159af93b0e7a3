"""The command in terminals: narrow ones, without Unicode or color, and closed pipes."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import ROOT, run

from anynet import cli
from anynet.cli import terminal

COMMANDS = ("backends", "bench", "check", "completion", "train")
ASCII = {"LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}


def test_help_without_arguments(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: anynet ")
    assert all(command in out for command in COMMANDS)


def test_usage_errors_are_one_line(capsys):
    for arguments in (["trian"], ["bench"], ["bench", "a:b", "--rounds", "x"], ["--no"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 2
        err = capsys.readouterr().err
        assert re.fullmatch(r"error: .*: see anynet.* --help\n", err)


@pytest.mark.parametrize("arguments", [[], *([name, "--help"] for name in COMMANDS)])
def test_help_in_forty_columns(monkeypatch, capsys, arguments):
    monkeypatch.setenv("COLUMNS", "40")
    with contextlib.suppress(SystemExit):
        cli.main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40


def test_table_in_forty_columns(monkeypatch, capsys):
    headings, row = ("backend", "version"), ("numpy", "1.0 " * 12)
    monkeypatch.setenv("COLUMNS", "40")
    terminal.show_table(headings, [row])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "numpy"
    assert lines[1].startswith("  version: 1.0 ")
    assert max(map(len, lines)) <= 40
    monkeypatch.setenv("COLUMNS", "100")
    terminal.show_table(headings, [row])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_commands_and_paths_are_not_broken(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    terminal.show_text("install it: pip install cupy-cuda13x")
    assert capsys.readouterr().out.splitlines() == ["install it: pip", "install cupy-cuda13x"]


PRINTS = "from anynet import cli; cli.run(lambda: print('2 × 2 → 4… R² é 日'))"


def test_characters_that_the_terminal_lacks():
    code, out, err = run("-c", PRINTS, **ASCII)
    assert (code, out, err) == (0, "2 x 2 -> 4... R2 e \\u65e5\n", "")
    environment = {"PYTHONIOENCODING": "cp932", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], capture_output=True, cwd=ROOT, env=os.environ | environment
    )
    assert done.stdout.decode("cp932").rstrip() == "2 × 2 → 4… R2 e 日"


def test_characters_of_an_error(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(SystemExit) as stopped:
        cli.run(Path("none×2.txt").read_bytes)
    assert stopped.value.code == 2
    stream.flush()
    assert stream.buffer.getvalue() == b"error: nonex2.txt: No such file or directory\n"
    assert stream.errors == "strict"


def test_output_that_is_closed(monkeypatch):
    class Closed(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(SystemExit) as stopped:
        cli.run(lambda: print("text"))
    assert stopped.value.code == 141


def test_program_without_an_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as stopped:
        cli.run(lambda: print("text"))
    assert stopped.value.code == 0


def test_streams_are_as_they_were(monkeypatch, capsys):
    errors = sys.stdout.errors
    assert cli.main([]) == 0
    assert sys.stdout.errors == errors


def test_training_in_ascii_without_color():
    arguments = ["train", "moons", "--epochs", "1"]
    code, out, err = run("-m", "anynet", *arguments, NO_COLOR="1", TERM="dumb", **ASCII)
    assert code == 0, err
    assert "\x1b" not in out + err
    assert "epoch 1: loss" in out


PROGRAM = "from anynet import cli; cli.run(lambda: print('text'))"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "codes"),
    # argparse ignores errors when it prints the help.
    [(["-c", PROGRAM], {141}), (["-m", "anynet", "--help"], {0, 141})],
)
def test_closed_pipe_is_silent(unbuffered, arguments, codes):
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) in codes


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_is_one_line(unbuffered):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 2
    assert done.stderr == "error: [Errno 28] No space left on device\n"


WAITS = """
import signal, sys, time
from anynet import cli

# A shell lets its background jobs ignore the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)

def show(self, text):
    # The processes of the candidates are running.
    if text.startswith("round"):
        print("running", flush=True)

cli.bench.StatusLine.show = show
arguments = ["bench", "a_layer:net", "--input-shape", "4", "--backend", "numpy"]
if __name__ == "__main__":
    sys.exit(cli.main([*arguments, "--rounds", "1000"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_all_processes(tmp_path):
    file = tmp_path / "waits.py"
    file.write_text(WAITS, encoding="utf-8")
    layer = "from anynet import layers\nnet = layers.Linear(4, 2)\n"
    (tmp_path / "a_layer.py").write_text(layer, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stdout.readline() == "running\n"
    # As a terminal does: to the process and the processes that it started.
    os.killpg(process.pid, signal.SIGINT)
    # Until the last process that writes to the standard error has ended.
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "interrupted\n"


def test_status_line_of_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "10")
    with terminal.StatusLine() as status:
        status.show("a long line of text")
        status.show("short")
    assert capsys.readouterr().err == "\ra long li\rshort    \r     \r"


def test_status_line_elsewhere(capsys):
    with terminal.StatusLine() as status:
        status.show("text")
    assert capsys.readouterr().err == ""


def in_terminal(columns, *arguments, **environment):
    """Return the output of anynet in a terminal of this width, with its escape codes."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    import fcntl
    import struct
    import termios

    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "anynet", *arguments],
        stdin=side,
        stdout=side,
        stderr=side,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(side)
    output = b""
    # The end of the process is an error on Linux, and the end of the file elsewhere.
    with contextlib.suppress(OSError):
        while part := os.read(main, 2**16):
            output += part
    os.close(main)
    assert process.wait(60) == 0
    return output.decode()


ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("columns", [40, 80])
def test_training_in_a_terminal(columns):
    output = in_terminal(columns, "train", "moons", "--epochs", "2")
    lines = [ESCAPE.sub("", line) for line in re.split(r"[\r\n]+", output)]
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("    2 ") for line in lines)
    assert COLOR.search(output)


def test_no_color_and_no_unicode_in_a_terminal():
    arguments = ["train", "moons", "--epochs", "2"]
    output = in_terminal(40, *arguments, NO_COLOR="1", **ASCII)
    assert not COLOR.search(output)
    assert output.isascii()
    assert "100%" in output
