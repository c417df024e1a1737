"""Entry point of `python -m torngas_aio`, which is `torngas-aio`."""

import sys

from torngas_aio.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
