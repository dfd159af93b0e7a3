"""List anynet's public names, and those whose docstring has no example.

    python ci/public_names.py                       how many, and those without an example python
    ci/public_names.py --all                 all of them

A name is public if ``anynet.__all__`` leads to it through modules. A module without ``__all__``
exports the functions and classes that it defines and that do not begin with an underscore.
"""

import argparse
import importlib
from types import ModuleType
from typing import Any


def public_names(package: str = "anynet") -> dict[str, Any]:
    """Return the public functions and classes of a package, each once, by the first dotted name."""
    found: dict[int, tuple[str, Any]] = {}
    modules = [importlib.import_module(package)]
    # The list grows while the loop runs.
    for module in modules:
        for name in _exported(module):
            value = getattr(module, name)
            if isinstance(value, ModuleType):
                if value.__name__.startswith(f"{package}.") and value not in modules:
                    modules.append(value)
            elif callable(value):
                found.setdefault(id(value), (f"{module.__name__}.{name}", value))
    return dict(found.values())


def _exported(module: ModuleType) -> list[str]:
    if hasattr(module, "__all__"):
        return list(module.__all__)
    defined = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__
    ]
    return [name for name in defined if not name.startswith("_")]


def has_example(value: Any) -> bool:
    """Tell whether an object's own docstring has an example."""
    return ">>>" in (value.__doc__ or "")


def main() -> None:
    """Print the names."""
    parser = argparse.ArgumentParser(description="List anynet's public names.")
    parser.add_argument("--all", action="store_true", help="also those with an example")
    show_all = parser.parse_args().all
    names = public_names()
    missing = [name for name, value in names.items() if not has_example(value)]
    print("\n".join(names if show_all else missing))
    print(f"{len(names)} public names, {len(missing)} of them without an example")


if __name__ == "__main__":
    main()
