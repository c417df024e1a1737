"""The command line: `torngas-aio COMMAND ...`, run in the project's directory.

    main.py         runs a command                          registry.py   the available commands
    project.py      functions shared by commands            runserver.py  runserver, run, ps
    starting.py     startproject, startapp                  check.py      check, with awaits.py: forgotten awaits
    routes.py       routes, pipeline, openapi               database.py   db, syncdb
    jobs.py         worker, jobs                            shell.py      shell
    port/           port, migrate                           kinds.py      objects and their methods that are awaited

Other packages add commands under the entry point group `torngas_aio.commands`; see `registry.Command`.
Begin with `main`.
"""

from torngas_aio.cli.main import main
from torngas_aio.cli.registry import Command

__all__ = ["Command", "main"]
