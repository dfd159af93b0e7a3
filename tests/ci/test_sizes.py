"""The sizes of a small checkout, and the parts of this one."""

import re

import pytest
from sizes import PARTS, parts, size_of
from source import ROOT, Size, size


def test_every_part_is_in_this_checkout():
    sizes = parts(ROOT)
    assert sizes.keys() == PARTS.keys()
    assert sizes["Linear"] == size(ROOT / "anynet/layers/linear.py", "Linear")
    assert sizes["Linear"].tokens < sizes["Module"].tokens < sizes["compiler"].tokens


@pytest.fixture
def checkout(tmp_path):
    for name, patterns in PARTS.items():
        for pattern in patterns:
            path, _, name = pattern.replace("*", "one").partition(":")
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(
                f"class {name}: ...\n" if name else "x = 1\n",
                encoding="utf-8",
            )
    return tmp_path


def test_lowerings_beside_kernels_belong_to_the_compiler(checkout):
    before = parts(checkout)
    kernels = checkout / "backends/one/kernels"
    kernels.mkdir()
    (kernels / "relu.py").write_text(
        "def relu(x): ...\n\n@relu.lowering\ndef _(x): ...\n",
        encoding="utf-8",
    )
    after = parts(checkout)
    assert after.pop("compiler in the backends") == before.pop("compiler in the backends") + Size(
        tokens=11, lines=2
    )
    assert after == before


def test_error_for_a_part_without_files(checkout):
    (checkout / "anynet/compiler/one.py").unlink()
    with pytest.raises(
        SystemExit,
        match=re.escape("compiler has none of anynet/compiler/*.py"),
    ):
        parts(checkout)


def test_size_of_files_folders_and_classes(checkout):
    assert size_of(str(checkout / "anynet/tracing/trace.py")) == Size(tokens=3, lines=1)
    assert size_of(str(checkout / "anynet/autodiff")) == Size(tokens=6, lines=2)
    assert size_of(f"{checkout}/anynet/layers/norm.py:BatchNorm") == Size(tokens=4, lines=1)
