"""`Server`: the steps from a command line to a serving process, one method each."""

import contextlib
import functools
import importlib.util
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import anyio.to_thread
import tornado
from tornado.options import OptionParser, options

from torngas_aio._node import set_processes
from torngas_aio._version import __version__
from torngas_aio.application import Application
from torngas_aio.checks import cautions, check_settings, fill_secrets, share_random_secrets
from torngas_aio.exception import ArgumentError, BaseError, ConfigError, Fault, UrlError
from torngas_aio.http.systemd import inherited_sockets
from torngas_aio.http.worker import current_worker
from torngas_aio.http.worker_slot import Program, RenewalLimits
from torngas_aio.i18n import load_translations
from torngas_aio.logger import init_logging, shutdown_logging
from torngas_aio.routing.signatures import signature_findings
from torngas_aio.settings_manager import ENVIRONMENT_NAME, settings
from torngas_aio.urlhelper import load_app_urls
from torngas_aio.webserver.backends import ServerBackend, backend_kind, make_backend
from torngas_aio.webserver.building import application_secret_faults, build_application, merge_faults
from torngas_aio.webserver.listeners import (
    BIND_ARGUMENTS,
    LOOPBACK,
    Listeners,
    is_reachable,
    refuse_taken,
    tls_context,
)
from torngas_aio.webserver.management import ManagementListener
from torngas_aio.webserver.options import (
    define_options,
    log_options,
    parse_options,
    refuse_words,
    renewal_limits,
    was_given,
    workers_wanted,
)
from torngas_aio.webserver.reloading import end_trial, is_reloading, is_trial, start_reloading
from torngas_aio.webserver.runner import LoopRunner
from torngas_aio.webserver.serving import run_until_stopped, serving
from torngas_aio.webserver.stopping import Stopping
from torngas_aio.webserver.validation import raised_fault, service_findings

__all__ = ["Server"]

logger = logging.getLogger("torngas_aio.server")

EXPOSED = (
    "DEBUG IS ON AND OTHER MACHINES CAN CONNECT: %s. Error pages show source and settings. "
    "Set DEBUG = False, or listen on --address=127.0.0.1."
)


class Server:
    """The steps of a start, to be called in this order; `load_all` does the first four.

        parse_command   load_urls   load_application   load_httpserver   start

    Attributes:
        urls: The rules of all apps; None before `load_urls`.
        application: The application; None before `load_application`.
        http_server: The HTTP server; None before `load_httpserver`.
        cautions: Warnings on settings that are valid but probably not intended, one sentence each; set by
            `load_application`.

    Args:
        project_path: Put on `sys.path`; by default the directory of the program that was started.
        arguments: The command line, with the program's name first; None for `sys.argv`.
    """

    def __init__(self, project_path: str | Path | None = None, arguments: list[str] | None = None) -> None:
        self._arguments = arguments
        self.urls: list[Any] | None = None
        self.application: Application | None = None
        self.http_server: ServerBackend | None = None
        self.cautions: list[str] = []
        self._listeners = Listeners()
        self._management = ManagementListener()
        self._is_tls = False
        self._faults: list[Fault] | None = None  # gathered by load_all instead of raised one step at a time
        self._worker = current_worker()  # removes its environment variable
        if self._worker is not None:
            set_processes(self._worker.workers)
        is_reloading()  # removes its environment variable before imported code can start child processes
        _use_project(project_path)
        self.define()

    def define(self, options: OptionParser = options) -> None:
        """Define the built-in options, except those that the project has defined under the same name.

        Args:
            options: The parser to define them in. A subclass may override this method to define more.
        """
        define_options(options)

    @property
    def httpserver(self) -> ServerBackend | None:
        """The HTTP server, by its name in torngas 1.8."""
        return self.http_server

    def parse_command(self, args: list[str] | None = None, final: bool = False) -> list[str]:
        """Read the command line, load the settings, set up logging; return the words after the options.

        A project defines its own options before, with `tornado.options.define`.

        Args:
            args: The command line with the program's name first; None for the `arguments` of the server.
            final: As Tornado's; parse callbacks run in either case.

        Raises:
            tornado.options.Error: An option is unknown or its value has the wrong type.
            ConfigError: The settings module cannot be imported, or LOGGING is invalid.
        """
        rest = parse_options(self._arguments if args is None else args)
        if options.settings or not settings.is_loaded:
            settings.load(options.settings)
        self._set_up_logging()
        options.run_parse_callbacks()
        return rest

    def load_urls(self) -> list[Any]:
        """Load the URL tables of INSTALLED_APPS.

        Raises:
            UrlError: The faults of all tables.
        """
        self.urls = []
        try:
            self.urls = load_app_urls(settings.INSTALLED_APPS)
        except UrlError as exc:
            if self._faults is None:
                raise
            self._report(exc.faults)
        return self.urls

    def load_application(self, application: Any = None) -> Any:
        """Check the settings and build the application; return it.

        Args:
            application: An `Application`, or a subclass to build; None builds an `Application`.

        Raises:
            ArgumentError: *application* is neither.
            ConfigError: All faults of settings, middlewares and modules.
        """
        self._fill_secrets()
        faults = check_settings(settings)
        if isinstance(application, Application) and application.settings.get("cookie_secret"):
            path = "TORNADO_CONF['cookie_secret']"
            faults = [fault for fault in faults if fault.code != "TGA106" or fault.path != path]
            faults += Fault.each(application_secret_faults(application), "TGA106")
        try:
            faults = self._build(application, faults)
        except Exception as exc:
            if isinstance(exc, BaseError) or not faults:
                raise
            logger.debug("What has faults was used.", exc_info=True)  # such as a number instead of a dict
        self._report(faults)
        return self.application

    def _build(self, application: object, faults: list[Fault]) -> list[Fault]:
        """Create the services and the application; return *faults* and those found on the way."""
        if settings.TRANSLATIONS:
            try:
                load_translations(settings.TRANSLATIONS_CONF)
            except ConfigError as exc:
                faults = merge_faults(faults, exc.faults)
            except Exception as exc:  # noqa: BLE001  a boundary: files that cannot be read
                faults.append(raised_fault(exc, "TRANSLATIONS_CONF", "TGA602"))
        found, self.cautions = service_findings(settings, faults)
        faults = merge_faults(faults, found)
        self.cautions += cautions(settings, workers_wanted())
        try:
            self.application = build_application(application, self.urls or [])
            faults += Fault.each(signature_findings(self.application.wildcard_router.routes())[0], "")
        except ConfigError as exc:
            faults = merge_faults(faults, exc.faults, without_urls=bool(self._faults))
        return faults

    def load_httpserver(self, sockets: Sequence[socket.socket] | None = None, **kwargs: Any) -> ServerBackend:
        """Create the HTTP server, bind the sockets of the options and log the cautions; return the server.

        Args:
            sockets: Listening sockets, in place of `--address`, `--port` and `--unix_socket`.
            kwargs: Arguments of the HTTP server, and `backlog`.

        Raises:
            ArgumentError: The HTTP server does not accept an argument, or there is no application yet.
            ConfigError: The address cannot be bound, or the certificate cannot be used.
        """
        end_trial(self.application)
        if self.application is None:
            raise ArgumentError("load_httpserver() has nothing to serve. Call load_application() before it.")
        for caution in self.cautions if self._is_first else ():
            logger.warning("%s", caution)
        binding = {name: kwargs.pop(name) for name in BIND_ARGUMENTS if name in kwargs}
        self._listeners.close()
        if options.certfile or options.keyfile:
            if not options.certfile:
                raise ConfigError(f"--keyfile={options.keyfile} wants a --certfile too.", code="TGA801")
            kwargs.setdefault("ssl_options", tls_context(options.certfile, options.keyfile))
        kwargs.setdefault("xheaders", settings.XHEADERS)
        kwargs.setdefault("trusted_proxies", settings.TRUSTED_PROXIES)
        kwargs.setdefault("trusted_headers", settings.TRUSTED_PROXY_HEADERS)
        self._management.close()
        self._is_tls = kwargs.get("ssl_options") is not None
        self._listeners = self._open_listeners(sockets, binding)
        try:
            self.http_server = self._make_backend(self.application, kwargs)
        except BaseException:
            if sockets is None:  # otherwise the caller owns them
                self._listeners.close()
            self._management.close()
            raise
        if self._is_first and settings.DEBUG and is_reachable(self.sockets):
            logger.warning(EXPOSED, " ".join(self.addresses))
        elif self._is_first and settings.is_built_in and not is_reachable(self.sockets):
            logger.warning("Without a settings module only this machine can connect.")
        return self.http_server

    def _make_backend(self, application: Application, kwargs: dict[str, Any]) -> ServerBackend:
        """Return the HTTP server for *application*, with the worker's request count and the management listener."""
        served: Any = application
        if self._worker is not None:
            served.serve_request = self._worker.counted(application.serve_request)
        if settings.MANAGEMENT:
            self._management = ManagementListener(settings.MANAGEMENT, among=self._listeners, worker=self._worker)
            served.serve_request = self._management.guarded(application.serve_request)
        return make_backend(application, options.http_server, **kwargs)

    def load_all(self, application: Any = None, sockets: Sequence[socket.socket] | None = None, **kwargs: Any) -> Self:
        """Do all steps before `start`: command line, settings, URLs, application, HTTP server.

        Raises:
            tornado.options.Error: The command line is invalid, or contains words that are not options.
            ConfigError: All faults of settings, URLs, middlewares and modules together.
        """
        self._faults = []
        try:
            refuse_words(self.parse_command())
            self.load_project(application)
        finally:
            self._faults = None
        self.load_httpserver(sockets, **kwargs)
        return self

    def load_project(self, application: Any = None) -> Application:
        """Call `load_urls` and `load_application`, raise their faults together, and return the application.

        Raises:
            ConfigError: All faults of settings, URLs, middlewares and modules.
        """
        self._faults = [] if self._faults is None else self._faults
        try:
            self.load_urls()
            self.load_application(application)
            ConfigError.gather(self._faults)
        finally:
            self._faults = None
        assert self.application is not None
        return self.application

    def server_start(self, sockets: Sequence[socket.socket] | None = None, **kwargs: Any) -> None:
        """Call `load_httpserver` and `start`."""
        self.load_httpserver(sockets, **kwargs)
        self.start()

    def start(self) -> None:
        """Serve until SIGTERM or SIGINT; return after the shutdown.

        With `--workers` above 1 this process supervises that many worker processes.

        Raises:
            ArgumentError: There is no HTTP server yet.
        """
        if self.http_server is None:
            raise ArgumentError("start() has nothing to serve. Call load_all(), or load_httpserver(), before it.")
        try:
            if self._wants_workers():
                self._supervise()
            else:
                self._serve()
        finally:
            self._close()

    @contextlib.asynccontextmanager
    async def running(
        self, application: Any = None, sockets: Sequence[socket.socket] | None = None, **kwargs: Any
    ) -> AsyncGenerator[Self]:
        """Serve in the running loop while the block runs: `async with Server().running() as server:`.

        Steps that were not done yet are done first, except reading the command line. See `server.addresses`.
        """
        # Loading reads files and resolves names: it runs in a thread, so as not to block the loop.
        await anyio.to_thread.run_sync(functools.partial(self._load_rest, application, sockets, kwargs))
        backend = self.http_server
        assert backend is not None
        try:
            stopping = Stopping(options.graceful_timeout, options.drain_seconds)
            async with serving(self.application, backend, self._every_socket, stopping=stopping):
                yield self
        finally:
            self._close()

    @property
    def addresses(self) -> list[str]:
        """The server's addresses: URLs, or `unix:` and a path."""
        return self._listeners.addresses(is_tls=self._is_tls)

    @property
    def sockets(self) -> list[socket.socket]:
        """The listening sockets, set by `load_httpserver`; with several workers, those of the first."""
        return self._listeners.sockets

    def print_settings_info(self) -> None:
        """Write the start banner to stdout: versions, locale, apps, template engine, URL."""
        loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
        facts = {
            "torngas_aio": __version__,
            "tornado": tornado.version,
            "python": f"{sys.version.split()[0]} on {loop}",
            "http server": backend_kind(options.http_server),
            "settings": settings.source or "built-in defaults",
            "locale": settings.TRANSLATIONS_CONF.locale_default if settings.TRANSLATIONS else "off",
            "apps": ", ".join(settings.INSTALLED_APPS) or "none",
            "template engine": settings.TEMPLATE_CONFIG.template_engine or "tornado",
            "debug": "on, with autoreload; requests are shown at /-/inspector" if settings.DEBUG else "off",
        }
        shown = " ".join(self.addresses).replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        lines = [f"  {name:<{max(map(len, facts))}}  {fact}\n" for name, fact in facts.items()]
        sys.stdout.write(f"{''.join(lines)}Serving on {shown}\n")
        sys.stdout.flush()

    def is_parent(self) -> bool:
        """Read the command line; return whether this process will supervise workers, and so should load nothing.

        Raises:
            tornado.options.Error: The command line is invalid, or contains words that are not options.
        """
        refuse_words(parse_options(self._arguments))
        return self._wants_workers()

    def supervise(self, sockets: Sequence[socket.socket] | None = None, **kwargs: Any) -> None:
        """Start worker processes and supervise them until SIGTERM or SIGINT, without loading the project.

        Args:
            sockets: Listening sockets; None: those passed by systemd, else those of the options.
            kwargs: As `load_httpserver`; the workers get them too.

        Raises:
            ConfigError: The Unix socket cannot be bound, or the port is in use.
            SystemExit: The workers did not start, or had to be killed.
        """
        init_logging(log_options())
        share_random_secrets()
        given = list(sockets) if sockets is not None else inherited_sockets()
        try:
            if given:
                self._listeners = Listeners.inherited(given)
            elif options.unix_socket:  # created here, since its file must outlive a worker
                self._listeners = Listeners.open(**{name: kwargs[name] for name in BIND_ARGUMENTS if name in kwargs})
            elif not kwargs.get("reuse_port"):
                refuse_taken(options.port, options.address if was_given("address") else LOOPBACK)
            self._supervise()
        finally:
            self._listeners.close()

    @property
    def _every_socket(self) -> list[socket.socket]:
        return [*self.sockets, *self._management.sockets]

    def _close(self) -> None:
        self._listeners.close()
        self._management.close()
        self.http_server = None

    @property
    def _is_first(self) -> bool:
        """Whether this process logs and prints on behalf of all workers."""
        return self._worker is None or self._worker.number == 0

    def _wants_workers(self) -> bool:
        is_bounded = renewal_limits() != RenewalLimits()
        return self._worker is None and not is_trial() and (workers_wanted() > 1 or is_bounded)

    def _open_listeners(self, sockets: Sequence[socket.socket] | None, binding: dict[str, object]) -> Listeners:
        worker = self._worker
        if worker is not None and worker.sockets:
            return Listeners(worker.sockets)
        listeners = Listeners.open(**binding) if sockets is None else Listeners(sockets)
        if worker is not None:
            worker.hand_over(listeners.groups(worker.workers))
            listeners = Listeners(worker.sockets)
        return listeners

    def _serve(self) -> None:
        """Serve in this process, on its own loop, until SIGTERM or SIGINT, or until new code replaces it."""
        backend, addresses, worker = self.http_server, " ".join(self.addresses), self._worker
        assert backend is not None

        def on_ready() -> None:
            if self._is_first:
                if settings.DEBUG:
                    self.print_settings_info()
                logger.info("Serving on %s", addresses)
                if settings.DEBUG and worker is not None:
                    logger.warning("With worker processes there is no autoreload; SIGHUP renews them.")
            if single is not None:
                single.on_ready()
            if worker is not None:
                worker.ready(str(Path(sys.path[0] or ".").resolve()), may_block=settings.DEBUG)
                worker.listen(
                    on_orphaned=functools.partial(os.kill, os.getpid(), signal.SIGTERM),
                    add_sockets=backend.add_sockets,
                    remove_sockets=backend.remove_sockets,
                )
            elif settings.DEBUG and settings.TORNADO_CONF.get("autoreload", True):
                start_reloading()

        with contextlib.ExitStack() as stack:
            single = None
            if worker is None and hasattr(signal, "SIGHUP"):
                from torngas_aio.webserver.single import SingleProcess  # uses signals that Windows lacks

                single = stack.enter_context(SingleProcess(Program.of_this_process(), self._every_socket))
            served = run_until_stopped(
                self.application,
                backend,
                self._every_socket,
                graceful_seconds=options.graceful_timeout,
                drain_seconds=options.drain_seconds,
                on_ready=on_ready,
                is_renewal=None if worker is None else worker.is_renewed,
                single=single,
            )
            with LoopRunner() as runner:
                runner.run(served)
            if single is not None and single.is_renewed:
                shutdown_logging()
                single.replace()

    def _load_rest(
        self, application: object, sockets: Sequence[socket.socket] | None, kwargs: dict[str, object]
    ) -> None:
        """Do the loading steps that were not done yet, or whose arguments are passed again."""
        if self.application is None and application is None:
            self.load_urls()
        if self.application is None or application is not None:
            self.load_application(application)
        if self.http_server is None or sockets is not None or kwargs:
            self.load_httpserver(sockets, **kwargs)

    def _supervise(self) -> None:
        """Supervise `--workers` processes until SIGTERM or SIGINT; they share this process's sockets, if it has any."""
        workers = workers_wanted()
        if not hasattr(os, "fork"):
            raise ConfigError(
                f"--workers={workers}: this system cannot hand sockets over. Start one process a port instead.",
                code="TGA801",
            )
        from torngas_aio.http.supervisor import Supervisor  # uses signals that Windows lacks

        status = Supervisor(
            Program.of_this_process(),
            workers,
            sockets=self._listeners.groups(workers) if self.sockets else None,
            limits=renewal_limits(),
            graceful_timeout=options.graceful_timeout,
            drain_seconds=options.drain_seconds,
            hang_timeout=options.hang_timeout,
        ).run()
        if status:
            raise SystemExit(status)

    def _set_up_logging(self) -> None:
        if is_trial():  # the server that started the trial writes to the same files
            return
        if options.logging_dir:
            settings.amend(LOGGING_DIR=options.logging_dir)
        if not options.disable_log:
            shutdown_logging()  # Tornado's set-up is a parse callback, which runs next
            return
        try:
            init_logging(log_options(), settings)
        except ConfigError as exc:
            self._report(exc.faults)

    def _fill_secrets(self) -> None:
        if not (settings.DEBUG or settings.is_built_in):
            return
        filled = fill_secrets(settings)
        if not self._is_first:
            return
        if settings.is_built_in:
            logger.warning(
                "No settings module: built-in defaults, and random secrets for this run. "
                "Name one with --settings=package.module or %s.",
                ENVIRONMENT_NAME,
            )
        elif filled:
            logger.warning("DEBUG is on and %s missing: random for this run.", " and ".join(filled))

    def _report(self, faults: Iterable[Fault]) -> None:
        """Raise *faults*, or collect them if `load_all` or `load_project` is running."""
        if self._faults is None:
            ConfigError.gather(faults)
        else:
            self._faults = merge_faults(self._faults, faults)


def _use_project(path: str | Path | None) -> None:
    """Put the project's directory on `sys.path`, in front."""
    if path is None:
        main = sys.modules.get("__main__")
        started = getattr(main, "__file__", None)
        if not started or getattr(main, "__spec__", None) is not None or not started.endswith(".py"):
            return  # `python -m` and interactive use set the path; the folder of a console script is not a project
        path = Path(started).resolve().parent
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
