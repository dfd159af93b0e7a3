"""``python -m anynet`` is the command ``anynet``."""

import sys

from anynet.cli import main

sys.exit(main())
