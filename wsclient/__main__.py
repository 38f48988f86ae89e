"""`python -m wsclient`: records markets, and shows what was kept."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
