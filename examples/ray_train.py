"""Train one network in the workers of Ray Train, which restarts them after a failure.

    python examples/ray_train.py --workers 2 --storage /tmp/ray-runs

It needs Ray (``pip install "ray[train]"``) and PyTorch, which carries the messages. The workers
write a checkpoint after each epoch. A worker that dies, such as by SIGKILL, restarts all of them,
and they go on from the checkpoint.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch

import anynet
from anynet import callbacks, data, layers, optimizers


class Report(callbacks.Callback):
    """Tells Ray the losses after each epoch. All workers make this call.

    Args:
        log: a file to which each worker adds its process and the epoch that it goes on after.

    """

    def __init__(self, log: Path) -> None:
        self.log = log

    def on_train_begin(self, run: Any) -> None:
        """Say which process this is."""
        with self.log.open("a") as file:
            file.write(f"process {os.getpid()} goes on after epoch {len(run.history.epochs)}\n")

    def on_epoch_end(self, run: Any) -> None:
        """Report the epoch, which is a barrier for all workers."""
        epoch = run.history.epochs[-1]
        ray.train.report({"epoch": epoch.number, "loss": epoch.loss, **epoch.scores})


def train(config: dict[str, Any]) -> None:
    """Train in one worker. Ray has opened a process group of PyTorch, which open_group finds."""
    folder = Path(config["folder"])
    backend = anynet.get_backend("numpy")
    training, test = data.load_digits(backend)
    net = layers.Sequential(
        layers.Linear(784, 50),
        layers.BatchNorm(50),
        layers.ReLU(),
        layers.Linear(50, 10),
        seed=0,
        backend=backend,
    )
    with anynet.open_group("torch") as group:
        history = anynet.fit(
            net,
            training,
            test,
            optimizer=optimizers.Adam(1e-3),
            epochs=config["epochs"],
            batch_size=120,
            callbacks=[Report(folder / "workers.txt")],
            checkpoint=folder / "run.safetensors",
            progress=False,
            group=group,
        )
        if group.is_first:
            (folder / "losses.txt").write_text("\n".join(map(repr, history.losses)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--failures", type=int, default=3, help="how often the workers restart")
    parser.add_argument("--storage", required=True, help="a folder that all workers can reach")
    options = parser.parse_args()
    folder = Path(options.storage).resolve() / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=False)
    trainer = ray.train.torch.TorchTrainer(
        train,
        train_loop_config={"epochs": options.epochs, "folder": str(folder)},
        scaling_config=ray.train.ScalingConfig(num_workers=options.workers),
        run_config=ray.train.RunConfig(
            name="digits",
            storage_path=str(Path(options.storage).resolve()),
            failure_config=ray.train.FailureConfig(max_failures=options.failures),
        ),
    )
    trainer.fit()
    losses = (folder / "losses.txt").read_text().split()
    print(f"{len(losses)} steps, the last loss {float(losses[-1]):.4f}")


if __name__ == "__main__":
    main()
