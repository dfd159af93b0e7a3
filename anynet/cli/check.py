"""``anynet check``: the gradients of a network or a function, analytic against numerical."""

import argparse
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anynet.cli.options import above_zero, add_backend_argument, shape_of, whole
from anynet.cli.terminal import show_table, show_text
from anynet.errors import ArgumentError
from anynet.named import parameters, required

if TYPE_CHECKING:
    from anynet.array import Array
    from anynet.backend import Backend
    from anynet.gradient_check import GradientReport
    from anynet.layers import Module


@dataclass(frozen=True)
class Case:
    """A function of arrays, and the arrays by name, at which its gradient is checked."""

    function: Callable[[Any], Any]
    arguments: Any


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "check",
        help="check the gradient of a network or a function",
        usage="%(prog)s [options] FILE:NAME",
        description=(
            "Compare the gradient of a network or a function with numerical derivatives. The exit "
            "code is 1 if it is wrong."
        ),
    )
    parser.add_argument(
        "name",
        metavar="FILE:NAME",
        help="a network, a function that returns one, or a function of arrays",
    )
    parser.add_argument(
        "--input-shape",
        metavar="SHAPE",
        action="append",
        default=[],
        help=(
            "of one input of a network, or of an argument of a function, such as 784 or 1,28,28. "
            "Repeat it for each argument"
        ),
    )
    parser.add_argument(
        "--batch", type=whole, metavar="N", default=3, help="inputs of a network (default: 3)"
    )
    parser.add_argument(
        "--integers",
        type=whole,
        metavar="BELOW",
        help="inputs are integers from 0 up to but not this",
    )
    parser.add_argument(
        "--dtype",
        metavar="NAME",
        choices=("float64", "float32"),
        default="float64",
        help="float64 or float32 (default: float64)",
    )
    parser.add_argument(
        "--tolerance",
        type=above_zero,
        metavar="ERROR",
        help="largest relative error (default: 1e-6, or 1e-2 in float32)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the parameters and inputs (default: 0)",
    )
    add_backend_argument(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the error of each parameter and the verdict, and return 1 if a gradient is wrong."""
    import anynet
    from anynet.gradient_check import GradientError
    from anynet.named import users_code

    backend = anynet.configure(options.backend)
    with users_code(options.name), backend.float64():
        case = make_case(options, backend)
        try:
            report = anynet.check_gradients(
                case.function,
                case.arguments,
                dtype=getattr(backend.xp, options.dtype),
                tolerance=options.tolerance,
                seed=options.seed,
            )
        except GradientError as error:
            report = error.report
    print(f"{options.name} on {backend.name} {backend.version}, {options.dtype}")
    return show_report(report)


def make_case(options: argparse.Namespace, backend: "Backend") -> Case:
    """Return the function to check and its arguments.

    Raises:
        ArgumentError: the name is that of something else, or input shapes are missing.

    """
    from anynet.arguments import describe
    from anynet.layers import Module
    from anynet.named import call_maker, load_object

    found = load_object(options.name)
    if _makes_network(found):
        found = call_maker(options.name, found, seed=options.seed, backend=backend)
    if isinstance(found, Module):
        return _network_case(found, options, backend)
    if callable(found) and not isinstance(found, type):
        return _function_case(found, options, backend)
    raise ArgumentError(
        f"{options.name} is {describe(found)}: wanted a network, a function that returns one, or a "
        "function of arrays"
    )


def _makes_network(found: Any) -> bool:
    """Return whether an object is a class of networks, or a function that takes no arrays."""
    from anynet.layers import Module

    if isinstance(found, type):
        return issubclass(found, Module)
    if isinstance(found, Module) or not callable(found):
        return False
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        # A function of a library.
        return False
    is_array = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return not is_array and set(required(found)) <= {"seed", "backend"}


def _network_case(
    net: "Module",
    options: argparse.Namespace,
    backend: "Backend",
) -> Case:
    """Return the case of a network: its parameters, and its floating inputs."""
    from anynet import random

    if not options.input_shape:
        raise ArgumentError(
            f"{options.name} is a network, and the shape of its input is not known: give "
            "--input-shape, such as 784 or 1,28,28"
        )
    if net.parameters() or net.buffers():
        net = net.map(backend.asarray)
    else:
        net = net.initialize(options.seed, backend, options.dtype)
    shapes = [(options.batch, *shape_of(text)) for text in options.input_shape]
    inputs = _inputs(shapes, options, backend)
    names = ["x"] if len(inputs) == 1 else [f"x{i}" for i in range(len(inputs))]
    key = random.fold_in(random.key(options.seed, backend), 2**31)

    def loss(arguments: Any) -> Any:
        outputs = arguments["net"](*[arguments[name] for name in names])
        return _weighted_sum(outputs, key)

    return Case(loss, {"net": net, **dict(zip(names, inputs, strict=True))})


def _function_case(
    function: Callable[..., Any],
    options: argparse.Namespace,
    backend: "Backend",
) -> Case:
    """Return the case of a function of arrays."""
    from anynet import random

    needed = required(function)
    texts = options.input_shape
    named = [p.name for p in parameters(function) if p.kind is p.KEYWORD_ONLY]
    if unknown := [name for name in needed if name in named]:
        raise ArgumentError(
            f"{options.name} needs {', '.join(unknown)} by name: wanted a function of arrays"
        )
    if not texts or len(texts) < len(needed):
        takes = f"takes {', '.join(needed)}" if needed else "is a function of arrays"
        raise ArgumentError(
            f"{options.name} {takes}, and {len(texts)} shapes were given: give --input-shape for "
            "each array, such as 2,3, or '' for a scalar"
        )
    inputs = _inputs([shape_of(text) for text in texts], options, backend)
    own = [parameter.name for parameter in parameters(function)]
    names = own if len(own) >= len(inputs) else [f"argument {i}" for i in range(len(inputs))]
    key = random.fold_in(random.key(options.seed, backend), 2**31)

    def loss(arguments: Any) -> Any:
        return _weighted_sum(function(*arguments.values()), key)

    return Case(loss, dict(zip(names, inputs, strict=False)))


def _inputs(
    shapes: Sequence[tuple[int, ...]],
    options: argparse.Namespace,
    backend: "Backend",
) -> list[Any]:
    """Return random arrays of these shapes."""
    from anynet import random

    key = random.key(options.seed, backend)
    keys = [random.fold_in(key, i) for i in range(len(shapes))]
    if options.integers is not None:
        return [
            random.integers(own, shape, 0, options.integers)
            for own, shape in zip(keys, shapes, strict=True)
        ]
    dtype = getattr(backend.xp, options.dtype)
    return [random.normal(own, shape, dtype) for own, shape in zip(keys, shapes, strict=True)]


def _weighted_sum(outputs: Any, key: Any) -> Any:
    """Return the sum of all outputs with random weights, so that each output counts."""
    from anynet import random
    from anynet.arguments import describe
    from anynet.array import array_namespace

    total: Any = None
    for i, y in enumerate(_real_parts(outputs)):
        xp = array_namespace(y)
        weights = random.normal(random.fold_in(key, i), tuple(y.shape), y.dtype)
        part = xp.sum(y * weights)
        total = part if total is None else total + part
    if total is None:
        raise ArgumentError(
            f"the result is {describe(outputs)}: wanted a floating array that is not empty"
        )
    return total


def _real_parts(outputs: Any) -> Iterator["Array"]:
    """Yield the floating arrays of a tree, and the real and the imaginary part of complex ones."""
    from anynet import tree
    from anynet.array import array_namespace, is_complex, is_floating

    for _, y in tree.leaves(outputs):
        if 0 in y.shape:
            continue
        if is_floating(y):
            yield y
        elif is_complex(y):
            xp = array_namespace(y)
            yield xp.real(y)
            yield xp.imag(y)


def show_report(report: "GradientReport") -> int:
    """Print the comparison, and return 1 if a gradient is wrong, else 0."""
    rows = []
    for check in report.checks:
        verdict = "ok" if check.error <= report.tolerance else "WRONG"
        rows.append((check.path, str(check.shape), f"{check.error:.1e}", verdict))
    show_table(("array", "shape", "error", "verdict"), rows, numeric=("shape", "error"))
    wrong = [check for check in report.checks if not check.error <= report.tolerance]
    for check in wrong:
        where = "element" if report.every_element else "direction"
        index = ", ".join(map(str, check.worst))
        show_text(
            f"{check.path}, {where} ({index}): analytic {check.analytic:.9g}, "
            f"numerical {check.numerical:.9g}"
        )
    if wrong:
        show_text(f"{len(wrong)} of {len(rows)} gradients are wrong")
        return 1
    show_text(f"all gradients agree within {report.tolerance:.0e}")
    return 0
