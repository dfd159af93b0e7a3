"""The outputs of a notebook that a Jupyter kernel has run."""

import sys

import pytest

PROGRAM = """
import anynet
from anynet import layers

backend = anynet.get_backend("numpy")
x = backend.asarray([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
t = backend.asarray([1, 1, 0, 0])
net = layers.Sequential(
    layers.Linear(2, 8), layers.ReLU(), layers.Linear(8, 2), seed=0, backend=backend
)
"""
CELLS = [
    PROGRAM,
    "history = anynet.fit(net, (x, t), (x, t), epochs=30, batch_size=1)",
    "history",
    "net",
]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Return the saved notebook, after its cells have run."""
    client = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    manager = pytest.importorskip("jupyter_client", reason="needs jupyter_client")
    formats = pytest.importorskip("nbformat", reason="needs nbformat")

    class Kernel(manager.AsyncKernelManager):
        """The kernel of this environment, without a look at the installed kernels."""

        def format_kernel_cmd(self, extra_arguments=None):
            return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]

        @property
        def kernel_spec(self):
            spec = manager.kernelspec.KernelSpec
            return spec(argv=["python"], display_name="Python", language="python")

    cells = [formats.v4.new_code_cell(source) for source in CELLS]
    unsaved = formats.v4.new_notebook(cells=cells)
    folder = tmp_path_factory.mktemp("notebook")
    executor = client.NotebookClient(
        unsaved,
        timeout=60,
        kernel_manager_class=Kernel,
        resources={"metadata": {"path": str(folder)}},
    )
    executor.execute()
    formats.write(unsaved, folder / "notebook.ipynb")
    return formats.read(folder / "notebook.ipynb", as_version=4)


def test_fit_leaves_one_table(notebook):
    (output,) = notebook.cells[1].outputs
    assert output.output_type == "display_data"
    assert list(output.data) == ["text/plain"]
    heading, *lines = output.data["text/plain"].splitlines()
    assert heading.split() == "epoch loss train accuracy test accuracy seconds".split()
    epochs = [line.split()[0] for line in lines]
    assert epochs == [*map(str, range(1, 11)), "...", *map(str, range(21, 31))]
    assert all(len(line.split()) == 5 for line in lines if "..." not in line)


@pytest.mark.parametrize(("cell", "word"), [(2, "accuracy"), (3, "Linear")])
def test_histories_and_networks_show_as_tables(notebook, cell, word):
    (output,) = notebook.cells[cell].outputs
    assert output.output_type == "execute_result"
    assert set(output.data) == {"text/plain", "text/html"}
    assert output.data["text/html"].startswith("<table>")
    assert word in output.data["text/html"]
    assert word in output.data["text/plain"]
    assert len(output.data["text/plain"]) < 1500
