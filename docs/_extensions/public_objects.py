"""The public objects of anynet, and the name under which the reference describes each."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "ci"))

from public_names import public_modules  # found on the path of the line above

#: The public modules, by dotted name.
MODULES = public_modules()
# Autodoc imports a module by its public name, which differs from the name of its file for
# anynet.checkpoint.
sys.modules.update(MODULES)

#: The public objects that are no modules, by each of their dotted names.
OBJECTS: dict[str, Any] = {
    f"{path}.{name}": value
    for path, module in MODULES.items()
    for name in module.__all__
    if not isinstance(value := getattr(module, name), ModuleType)
}

#: The first name of each public object, by identity. The reference describes it under this name.
NAMES: dict[int, str] = {}
for _name, _value in OBJECTS.items():
    NAMES.setdefault(id(_value), _name)
NAMES |= {id(module): name for name, module in MODULES.items()}
