import os
import pickle
import signal
import stat
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from anynet import data, files, layers
from anynet.data import pickled
from anynet.errors import DataError
from anynet.files import atomic_write, read_whole
from anynet.training import checkpoint


def test_write_replaces_the_whole_file_or_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def cut_off():
        with atomic_write(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]
    with atomic_write(path) as file:
        file.write(b"after")
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["file"]


def write(path, content=b"new"):
    with atomic_write(path) as file:
        file.write(content)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not flush folders")
def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    net = layers.Sequential(layers.Linear(2, 3), seed=0)
    checkpoint.save(net, "~/folder/net.safetensors")
    assert os.listdir(tmp_path) == ["folder"]
    other = layers.Sequential(layers.Linear(2, 3), seed=1)
    checkpoint.load(other, "~/folder/net.safetensors")
    assert (other["layers.0.weight"] == net["layers.0.weight"]).all()
    content = bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 4])
    (tmp_path / "labels").write_bytes(content)
    assert data.read_idx("~/labels").tolist() == [3, 4]
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"w": np.ones(2)}))
    assert pickled.read_pickled_arrays("~/weights.pkl", "numpy")["w"].tolist() == [1.0, 1.0]


def test_data_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    """After a power failure the name is that of the old file or of the complete new one."""
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda *args, real=real, name=name: (
                calls.append(name),
                real(*args),
            ),
        )
    write(tmp_path / "file")
    assert calls == ["fsync", "replace", "fsync"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")
def test_write_through_a_symbolic_link_keeps_the_link(tmp_path):
    (tmp_path / "runs").mkdir()
    target, link = tmp_path / "runs" / "net-17", tmp_path / "latest"
    target.write_bytes(b"old")
    link.symlink_to("runs/net-17")
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path / "runs") == ["net-17"]
    target.unlink()
    write(link, b"again")
    assert link.is_symlink()
    assert target.read_bytes() == b"again"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask_or_the_old_file(tmp_path, umask):
    def mode(path):
        return stat.S_IMODE(path.stat().st_mode)

    before = os.umask(umask)
    try:
        write(tmp_path / "file")
        (tmp_path / "plain").write_bytes(b"")
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == mode(tmp_path / "plain") == 0o666 & ~umask
    (tmp_path / "file").chmod(0o640)
    write(tmp_path / "file")
    assert mode(tmp_path / "file") == 0o640


@pytest.mark.skipif(os.name == "nt", reason="Windows limits whole paths to 260 characters")
def test_longest_file_name_can_be_written(tmp_path):
    write(tmp_path / ("n" * 255))
    assert (tmp_path / ("n" * 255)).read_bytes() == b"new"


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs /dev/null")
def test_device_file_is_written_in_place():
    write("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.fixture(params=["named", "unnamed"])
def temporary(request, monkeypatch):
    """Both kinds of temporary files, where the system has them."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("the system has no files without a name")
    return request.param


HALF_WRITTEN = """
import os, sys
if sys.argv[2] == "named" and hasattr(os, "O_TMPFILE"):
    del os.O_TMPFILE
from anynet.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_temporary_files_of_killed_processes_are_removed(tmp_path, temporary):
    done = subprocess.run(
        [sys.executable, "-c", HALF_WRITTEN, str(tmp_path / "net"), temporary],
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    left = [path.read_bytes() for path in tmp_path.iterdir()]
    assert left == ([b"half"] if temporary == "named" else [])
    (tmp_path / ".anynet-notes").write_bytes(b"someone's own")
    write(tmp_path / "net")
    assert sorted(os.listdir(tmp_path)) == [".anynet-notes", "net"]


def test_replaced_file_is_kept_as_the_previous_one(tmp_path, temporary):
    for content in (b"1", b"2", b"3"):
        with atomic_write(tmp_path / "net", tmp_path / "net.previous") as file:
            file.write(content)
    assert (tmp_path / "net").read_bytes() == b"3"
    assert (tmp_path / "net.previous").read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == ["net", "net.previous"]


def test_previous_file_is_kept_on_file_systems_without_links(tmp_path, monkeypatch):
    def link(*args, **settings):
        raise PermissionError("no links")

    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    monkeypatch.setattr(os, "link", link)
    test_replaced_file_is_kept_as_the_previous_one(tmp_path, "named")


@pytest.mark.skipif(not hasattr(os, "link"), reason="the system has no links")
@pytest.mark.parametrize("killed_before", range(1, 9))
def test_complete_file_exists_at_each_moment(tmp_path, monkeypatch, temporary, killed_before):
    """The process ends before a system call, and the next one goes on from what is left."""
    paths = tmp_path / "net", tmp_path / "net.previous"
    for content in (b"1", b"2"):
        with atomic_write(*paths) as file:
            file.write(content)
    calls = []

    class Killed(BaseException):
        pass

    def counted(real):
        def call(*args, **settings):
            calls.append(real)
            if len(calls) >= killed_before:
                raise Killed
            return real(*args, **settings)

        return call

    with monkeypatch.context() as patch, suppress(Killed):
        for name in ("link", "replace", "unlink", "fsync"):
            patch.setattr(os, name, counted(getattr(os, name)))
        with atomic_write(*paths) as file:
            file.write(b"3")
    assert paths[0].read_bytes() in (b"2", b"3")
    assert not paths[1].exists() or paths[1].read_bytes() in (b"1", b"2")
    with atomic_write(*paths) as file:
        file.write(b"4")
    assert paths[0].read_bytes() == b"4"
    assert paths[1].read_bytes() in (b"2", b"3")
    assert sorted(os.listdir(tmp_path)) == ["net", "net.previous"]


def test_temporary_files_in_use_are_kept(tmp_path):
    with atomic_write(tmp_path / "a") as file:
        file.write(b"a")
        write(tmp_path / "b", b"b")
    assert (tmp_path / "a").read_bytes() == b"a"
    assert (tmp_path / "b").read_bytes() == b"b"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_temporary_file_removed_before_its_lock_is_created_again(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="the system has no such locks")
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    real, swept = fcntl.flock, []

    def flock(descriptor, how):
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        real(descriptor, how)

    monkeypatch.setattr(files.fcntl, "flock", flock)
    write(tmp_path / "a")
    assert len(swept) == 1
    assert os.listdir(tmp_path) == ["a"]


def test_file_above_the_size_limit_raises(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_whole(tmp_path / "file", 5) == b"12345"
    with pytest.raises(DataError, match="has 5 bytes: the limit is max_bytes=4"):
        read_whole(tmp_path / "file", 4)
