"""`torngas-aio shell`: a Python prompt with the project loaded and top-level `await`."""

import argparse
import ast
import builtins
import code
import contextvars
import inspect
import sys
import types
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from torngas_aio._names import import_object
from torngas_aio._unawaited import collected_unawaited
from torngas_aio.cli.project import add_settings_option, load_project
from torngas_aio.scripts import db_sessions
from torngas_aio.settings_manager import settings
from torngas_aio.webserver.runner import LoopRunner
from torngas_aio.webserver.serving import GRACEFUL_SECONDS

__all__ = ["Console", "Shell"]

BANNER = "torngas_aio shell: {names} are here, `await` works. Ctrl-D ends it."
ALLOW_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Shell:
    """Open a Python prompt with `application`, `settings` and the caches; `await` may be written at the prompt.

    The application is started as the server starts it, and shut down at the end. Every database has a session, whose
    changes want a commit.
    """

    help = "a Python prompt that knows the project, with await"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("-c", "--command", metavar="CODE", help="run this and exit")
        add_settings_option(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the prompt until the end of input, or the code of `--command`."""
        application = load_project(arguments.settings)
        names = {"application": application, "settings": settings}
        names["cache"] = import_object("torngas_aio.cache.cache")
        names["caches"] = import_object("torngas_aio.cache.caches")
        context, sessions = contextvars.copy_context(), AsyncExitStack()
        with LoopRunner() as runner:
            wait = partial(runner.run, context=context)
            wait(application.startup())
            try:
                wait(sessions.enter_async_context(db_sessions()))
                console = Console(names, wait, context)
                if arguments.command is not None:
                    with collected_unawaited() as found:
                        is_done = console.execute(arguments.command)
                        console.locals.clear()
                    return 0 if is_done and not found else 1
                console.interact(banner=BANNER.format(names=", ".join(names)), exitmsg="")
                return 0
            finally:
                wait(sessions.aclose())
                wait(application.background.drain(GRACEFUL_SECONDS))
                wait(application.shutdown())


class Console(code.InteractiveConsole):
    """A prompt with top-level `await`.

    Args:
        names: Names defined at the prompt.
        wait: Runs a coroutine to its end and returns its result.
        context: The context for synchronous code; None: a copy of the caller's.
    """

    def __init__(
        self, names: dict[str, Any], wait: Callable[[Any], object], context: contextvars.Context | None = None
    ) -> None:
        super().__init__({"__name__": "__console__", "__doc__": None, "__builtins__": builtins, **names})
        self._wait = wait
        self._context = context or contextvars.copy_context()
        self._failed = False
        self.compile.compiler.flags |= ALLOW_AWAIT

    def execute(self, source: str) -> bool:
        """Run *source*, one or more lines; return False if it raised."""
        self._failed = False
        try:
            compiled = compile(source, "<command>", "exec", flags=ALLOW_AWAIT)
        except SyntaxError:
            self.showsyntaxerror("<command>")
            return False
        self.runcode(compiled)
        return not self._failed

    def runcode(self, code: types.CodeType) -> None:
        """Run one compiled statement; await it if its result is a coroutine."""
        try:
            result = self._context.run(types.FunctionType(code, self.locals))
            if inspect.iscoroutine(result):
                self._wait(result)
        except SystemExit:
            raise
        except BaseException:  # noqa: BLE001  a boundary: the code may raise anything, including KeyboardInterrupt
            self._failed = True
            self.showtraceback()
        sys.stdout.flush()
