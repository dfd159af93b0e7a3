"""Objects of other files, by names such as ``model.py:make``."""

import difflib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from anynet.arguments import describe, listed
from anynet.errors import AnynetError, ArgumentError

WANTED = "wanted file.py:name or module:name, such as model.py:make"


def load_object(name: str) -> Any:
    """Return the object that ``file.py:name`` or ``module:name`` names.

    The file is executed. It can import modules of its folder.

    Args:
        name: the name after the colon may have dots, as ``model.py:Networks.small``.

    Raises:
        ArgumentError: there is no such file, module or name, or the file raises an exception. The
            message has its line.

    >>> from anynet.named import load_object
    >>> load_object("anynet.layers:ReLU").__name__
    'ReLU'

    """
    place, _, path = name.rpartition(":")
    if not place or not all(part.isidentifier() for part in path.split(".")):
        raise ArgumentError(f"{name!r} names no object: {WANTED}")
    module = _from_file(Path(place).expanduser()) if _is_file(place) else _from_module(place)
    found: Any = module
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise ArgumentError(_missing(name, place, attribute, found)) from None
    return found


def call_maker(name: str, maker: Callable[..., Any], **offered: Any) -> Any:
    """Return the result of a function of a user's file.

    Args:
        name: of the function, for errors.
        maker: the function. It receives the offered arguments that its parameters name.
        offered: arguments by name.

    Raises:
        ArgumentError: the function needs other arguments, or raises an exception. The message has
            its line. An error of anynet stays as it is.

    >>> from anynet.named import call_maker
    >>> call_maker("model.py:make", lambda seed: seed + 1, seed=3, backend="numpy")
    4

    """
    names = [parameter.name for parameter in parameters(maker)]
    arguments = {key: offered[key] for key in names if key in offered}
    needed = [key for key in required(maker) if key not in offered]
    if needed:
        others = f" but {listed(list(offered))}" if offered else ""
        raise ArgumentError(
            f"{name} needs {listed(needed)}: wanted a function without required arguments{others}"
        )
    with users_code(name):
        return maker(**arguments)


@contextmanager
def users_code(name: str) -> Iterator[None]:
    """Turn exceptions of a user's code into an ArgumentError on one line, with the line of code.

    Errors of anynet and of files stay as they are.

    Args:
        name: the object whose code runs, such as ``model.py:make``.

    """
    try:
        yield
    except (AnynetError, OSError):
        raise
    except (Exception, SystemExit) as error:
        place = name.rpartition(":")[0]
        raise ArgumentError(f"{name} raised {describe_error(error, place)}") from error


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return a function's parameters, [] if they are not known."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def required(function: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters that have no default."""
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in parameters(function)
        if parameter.default is parameter.empty and parameter.kind not in several
    ]


def describe_error(error: BaseException, file: str = "") -> str:
    """Return an exception on one line, with the file and the line of code.

    Args:
        error: the exception.
        file: the innermost line of this file is shown, if there is one, or else of any file.

    """
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{kind}: {error.msg} ({error.filename}, line {error.lineno})"
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file and Path(frame.filename) == Path(file).expanduser()]
    where = [f" ({frame.filename}, line {frame.lineno})" for frame in (own or frames)[-1:]]
    return "".join([f"{kind}: {text}" if text else kind, *where])


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or "\\" in place or Path(place).is_file()


def _from_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ArgumentError(f"there is no module {name!r} ({error}): {WANTED}") from error
    except (Exception, SystemExit) as error:
        raise ArgumentError(f"{name} cannot be imported: {describe_error(error)}") from error


def _from_file(path: Path) -> ModuleType:
    if path.suffix != ".py":
        raise ArgumentError(f"{path} is not a Python file: {WANTED}")
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise ArgumentError(f"the file {path} {kind}: {WANTED}")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{path} cannot be imported: {WANTED}")
    module = importlib.util.module_from_spec(spec)
    # Classes of the file look their module up while it is executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        del sys.modules[name]
        raise ArgumentError(
            f"{path} ends the program while it is imported ({describe_error(error)}): put the main "
            'program under if __name__ == "__main__":'
        ) from error
    except Exception as error:
        del sys.modules[name]
        raise ArgumentError(
            f"{path} cannot be imported: {describe_error(error, str(path))}"
        ) from error
    return module


def _module_name(path: Path) -> str:
    """Return the name of a file's module, which differs from those of other modules."""
    known = sys.modules.get(path.stem)
    if known is None:
        return path.stem
    own = getattr(known, "__file__", None)
    is_same = own is not None and Path(own).resolve() == path.resolve()
    return path.stem if is_same else f"{path.stem} of {path.resolve().parent}"


def _missing(
    name: str,
    place: str,
    attribute: str,
    holder: Any,
) -> str:
    """Return the message for a name that does not exist."""
    names = [key for key in vars(holder) if key[0] != "_"] if hasattr(holder, "__dict__") else []
    if not isinstance(holder, ModuleType):
        return f"{name}: {describe(holder)} has no attribute {attribute!r}"
    near = difflib.get_close_matches(attribute, names, n=1)
    own = [key for key in names if getattr(vars(holder)[key], "__module__", "") == holder.__name__]
    if near:
        remedy = f"did you mean {near[0]}?"
    else:
        remedy = f"it defines {listed(own, most=8)}" if own else "it defines no function or class"
    return f"{place} has no {attribute!r}: {remedy}"
