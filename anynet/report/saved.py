"""The contents of a page from the checkpoint of a run alone."""

import os

from anynet.report.contents import Contents, counted, of_network, without_network
from anynet.table import Table
from anynet.training.record import Record
from anynet.training.resume import SavedRun, read_run


def contents_of_checkpoint(path: str | os.PathLike[str]) -> Contents:
    """Return the contents of a page that a checkpoint has.

    Raises:
        DataError: the file is damaged, or is not that of a run.
        FileNotFoundError: the file does not exist.

    """
    saved = read_run(path)
    record = Record()
    saved.restore_record(record)
    absent = "The checkpoint does not have it. fit records it with the argument report."
    contents = Contents(
        "",
        _ending(saved),
        True,
        saved.history,
        configuration=without_network(saved.settings),
        sessions=record.sessions,
        network=_layers(saved),
        norms=record.norms,
        seconds=record.earlier,
        missing=dict.fromkeys(("norms", "seconds", "environment"), absent),
    )
    need = "A checkpoint has no data. Give the network and the test data as well."
    contents.missing["results"] = need
    return contents


def _ending(saved: SavedRun) -> str:
    epochs, step = len(saved.history.epochs), saved.states["step"]
    more = f" and {counted(step, 'step')} of epoch {epochs + 1}" if step else ""
    if saved.states["stopped"] is not None:
        return f"A callback ended the run after epoch {epochs} of {saved.states['stopped']}."
    whole = counted(epochs, "epoch")
    return f"The checkpoint has {whole}{more}. It does not say whether the run goes on."


def _layers(saved: SavedRun) -> Table:
    """Return the class and the attributes of each layer, from the settings of the run."""
    rows = [[name, text] for name, text in of_network(saved.settings).items()]
    return Table(["layer", "class and attributes"], rows)
