"""List anynet's public names, and those whose docstring has no example.

    python ci/public_names.py               how many, and those without an example
    python ci/public_names.py --all         all of them
    python ci/public_names.py --write       write them into docs/reference.md

A name is public if ``anynet.__all__`` leads to it through the ``__all__`` of modules. A public
module without ``__all__`` is an error.
"""

import argparse
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

INTRODUCTION = """# Public names

These names are public. Other names, also those of other modules, may change without notice.
`help(name)` shows a name's arguments and an example. `python ci/public_names.py --write` writes
this page from `__all__` of the modules.
"""


def public_modules(package: str = "anynet") -> dict[str, ModuleType]:
    """Return the package and the modules in it that ``__all__`` leads to, by dotted name."""
    modules = {package: importlib.import_module(package)}
    waiting = list(modules)
    # The list grows while the loop runs.
    for path in waiting:
        for name in modules[path].__all__:
            value = getattr(modules[path], name)
            inside = isinstance(value, ModuleType) and value.__name__.startswith(f"{package}.")
            if inside and value not in modules.values():
                modules[f"{path}.{name}"] = value
                waiting.append(f"{path}.{name}")
    return modules


def public_names(package: str = "anynet") -> dict[str, Any]:
    """Return the public functions and classes of a package, each once, by the first dotted name."""
    found: dict[int, tuple[str, Any]] = {}
    for path, module in public_modules(package).items():
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                found.setdefault(id(value), (f"{path}.{name}", value))
    return dict(found.values())


def page(package: str = "anynet") -> str:
    """Return the page that lists the public names by module."""
    parts = [INTRODUCTION]
    for path, module in public_modules(package).items():
        names = ", ".join(f"`{name}`" for name in sorted(module.__all__, key=str.lower))
        parts.append(f"## {path}\n\n{names}\n")
    return "\n".join(parts)


def has_example(value: Any) -> bool:
    """Return whether an object's own docstring has an example."""
    return ">>>" in (value.__doc__ or "")


def main() -> None:
    """Print the names."""
    parser = argparse.ArgumentParser(description="List anynet's public names.")
    parser.add_argument("--all", action="store_true", help="also those with an example")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args()
    if arguments.write:
        PAGE.write_text(page(), encoding="utf-8")
        return
    names = public_names()
    missing = [name for name, value in names.items() if not has_example(value)]
    print("\n".join(names if arguments.all else missing))
    print(f"{len(names)} public names, {len(missing)} of them without an example")


if __name__ == "__main__":
    main()
