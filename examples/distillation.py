"""Train a small student on the outputs of a large teacher, which learns in the same compiled step.

    python examples/distillation.py --backend torch

Source: Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015.
"""

import argparse
from typing import Any

import anynet
from anynet import cli, data, functions, layers, losses, optimizers
from anynet.errors import DataError

TEMPERATURE, SHARE = 2.0, 0.5


def network(width: int, seed: int, backend: anynet.Backend) -> layers.Module:
    return layers.Sequential(
        *(layers.Linear(784, width), layers.BatchNorm(width), layers.ReLU()),
        *(layers.Dropout(0.2 if width > 100 else 0.0), layers.Linear(width, 10)),
        seed=seed,
        backend=backend,
    )


def teacher_loss(teacher: Any, x: Any, t: Any) -> Any:
    return losses.cross_entropy(teacher(x), t)


def student_loss(student: Any, x: Any, t: Any, probabilities: Any) -> Any:
    """Return a mean of two losses: to the labels, and to the softened outputs of the teacher."""
    logits = student(x)
    # The square keeps the size of the gradient.
    soft = TEMPERATURE**2 * losses.cross_entropy(logits / TEMPERATURE, probabilities)
    return SHARE * soft + (1 - SHARE) * losses.cross_entropy(logits, t)


teacher_gradient = anynet.value_and_grad(teacher_loss)
student_gradient = anynet.value_and_grad(student_loss)


@anynet.compile
def step(nets: Any, rules: Any, x: Any, t: Any) -> tuple[Any, Any]:
    # Outside of a gradient the teacher infers: no dropout, and no change of its statistics.
    probabilities = functions.softmax(nets["teacher"](x) / TEMPERATURE)
    of_teacher, grads = teacher_gradient(nets["teacher"], x, t)
    of_student, others = student_gradient(nets["student"], x, t, probabilities)
    rules["teacher"].update(nets["teacher"], grads)
    rules["student"].update(nets["student"], others)
    return of_teacher, of_student


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images only")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    try:
        (x, t), test = data.load_mnist(backend)
    except DataError as error:
        print(f"No MNIST: {error}")
        (x, t), test = data.load_digits(backend)
    loader = data.Loader(x[: options.limit, ...], t[: options.limit], 100, seed=options.seed)
    nets = {"teacher": network(800, 0, backend), "student": network(30, 1, backend)}
    rules = {name: optimizers.Adam(1e-3) for name in nets}
    for epoch in range(options.epochs):
        for images, labels in loader:
            of_teacher, of_student = step(nets, rules, images, labels)
        print(
            f"epoch {epoch + 1}: loss of the teacher {float(of_teacher):.4f}, "
            f"of the student {float(of_student):.4f}"
        )

    alone = network(30, 1, backend)
    rule = optimizers.Adam(1e-3)
    anynet.fit(alone, loader, optimizer=rule, epochs=options.epochs, metric=None, progress=False)
    for name, net in {**nets, "the same student alone": alone}.items():
        print(f"test accuracy of {name}: {anynet.evaluate(net, test):.4f}")


if __name__ == "__main__":
    cli.run(main)
