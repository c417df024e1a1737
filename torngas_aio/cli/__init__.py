"""The command line: `torngas-aio COMMAND ...`, run in the project's directory.

    main.py         from the command line to a command      registry.py   which commands there are
    project.py      the project's settings and application  output.py     tables
    starting.py     startproject, startapp                  runserver.py  runserver, run
    check.py        check: settings, with awaits.py (forgotten awaits) and former_defaults.py (uses of torngas 1.8)
    routes.py       routes, pipeline, openapi               database.py   db, syncdb
    ps.py           ps                                      shell.py      shell
    worker.py       worker                                  jobs.py       jobs
    port/           port, migrate

Other packages add commands under the entry point group `torngas_aio.commands`; see `registry.Command`.
Begin with `main`.
"""

from torngas_aio.cli.main import main
from torngas_aio.cli.registry import Command

__all__ = ["Command", "main"]
