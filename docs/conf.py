"""The documentation site: ``sphinx-build -W docs OUT`` builds it without the network.

The notebooks are executed on NumPy, and an error in one fails the build. Set
``ANYNET_DOCS_EXECUTE=off`` to show them without outputs. ``ANYNET_DATA_DIR`` names a folder with
MNIST's files.
"""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_extensions"))

from code_version import code_version  # noqa: E402  # found on the path of the line above

import anynet  # noqa: E402

project = "anynet"
author = "the anynet developers"
copyright = "2026, the anynet developers"
version = release = anynet.__version__
language = "en"
smartquotes_action = "D"  # dashes only: a prime in a formula is no quote

extensions = [
    "sphinx.ext.autodoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "accessible",
    "code_links",
    "docstrings",
    "mathml",
    "outside_pages",
    "public_reference",
]
exclude_patterns = ["_*"]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
# Names that lead nowhere fail the build. Annotations also name types that are not public.
nitpicky = True
nitpick_ignore_regex = [("py:class", ".*")]
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# ipykernel chooses how matplotlib draws in a notebook, unless the environment does.
os.environ.pop("MPLBACKEND", None)
os.environ["ANYNET_BACKEND"] = "numpy"
nb_execution_mode = "off" if os.environ.get("ANYNET_DOCS_EXECUTE") == "off" else "cache"
# Outputs are those of this version of the code.
nb_execution_cache_path = str(DOCS / "_build" / "executed" / code_version())
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600
# Files that a page writes are not sources of the site.
nb_execution_in_temp = True
nb_merge_streams = True

# ci/jupyterlite.py writes JupyterLite there. Its page then has a link.
extra = DOCS / "_build" / "extra"
html_extra_path = [str(extra)] if extra.exists() else []
if (extra / "lite").exists():
    tags.add("lite")  # noqa: F821  # Sphinx defines it

html_theme = "furo"
html_title = "anynet"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
copybutton_exclude = ".linenos, .gp, .go"  # prompts and outputs
