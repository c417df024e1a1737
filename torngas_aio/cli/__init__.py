"""The command line: `torngas-aio COMMAND ...`, run in the project's directory.

    startproject  startapp     new files                          registry.py   which commands there are
    runserver                  serve                              project.py    the project's settings and application
    routes  pipeline  check    what will run, and what is wrong   output.py     tables
    ps                         the servers that run
    shell                      a prompt that knows the project

Other packages add commands under the entry point group `torngas_aio.commands`; see `registry.Command`.
Begin with `main`.
"""

from torngas_aio.cli.main import main
from torngas_aio.cli.registry import Command

__all__ = ["Command", "main"]
