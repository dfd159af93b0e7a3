"""``python -m anynet`` is the command ``anynet``."""

import sys

from anynet.cli import main

if __name__ == "__main__":
    sys.exit(main())
