"""docs/migration.md: every name it promises exists, and none of the 1.8 document's is left out."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.cache.backends import filebased, filecache

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("migration.md", "zh/migration.md")

# In the order of the 1.8 document.
NAMES_OF_1_8 = [
    "torngas.settings",
    "torngas.webserver.run",
    "torngas.webserver.Server",
    "parse_command",
    "load_urls",
    "load_application",
    "server_start",
    "load_all",
    "start",
    "torngas.application.Application",
    "torngas.Url",
    "route",
    "include",
    "_url_kwargs",
    "torngas.handler.WebHandler",
    "torngas.handler.ApiHandler",
    "on_prepare",
    "complete_finish",
    "FlashMessageMixIn",
    "flash",
    "get_flashed_messages",
    "torngas.logger.syslogger",
    "torngas.logger.ProcessLogTimedFileHandler",
    "torngas.template.mako_loader.MakoTemplateLoader",
    "torngas.template.jinja2_loader.Jinja2TemplateLoader",
    "process_init",
    "process_call",
    "process_request",
    "process_render",
    "process_response",
    "process_endcall",
    "process_exception",
    "torngas.middleware.accesslog.AccessLogMiddleware",
    "torngas.middleware.dbalchemy.DBAlchemyMiddleware",
    "torngas.middleware.session.SessionMiddleware",
    "torngas.middleware.session.SignalMiddleware",
    "torngas.httpmodule.httpmodule.HttpModuleMiddleware",
    "torngas.httpmodule.BaseHttpModule",
    "begin_request",
    "begin_render",
    "begin_response",
    "complete_response",
    "torngas.cache.backends.rediscache.RedisCache",
    "torngas.cache.backends.rediscache.RedisClient",
    "torngas.cache.backends.memcached.MemcachedCache",
    "torngas.db.dbalchemy.Model",
    "Model.Q",
    "Model.session",
    "session.using_master",
    "session.query",
    "query.paginate",
    "torngas.decorators.async_execute.async_execute",
    "handler.session",
    "set_expire",
    "torngas.cache.backends.base.BaseCache",
    "torngas.signal.call_started",
    "torngas.dispatch.Signal",
    "receiver",
]
SECTIONS = [
    "目录结构",
    "settings",
    "webserver",
    "app",
    "urls",
    "log",
    "模板引擎",
    "handler",
    "中间件",
    "HTTP处理器",
    "缓存",
    "DB&ORM",
    "异步线程池",
    "session",
    "signal",
]


def rows(page: str) -> Iterator[list[str]]:
    """The cells of every table row of the page."""
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def promised(page: str) -> list[str]:
    """The dotted names of this package in its tables."""
    names = [name for cells in rows(page) for cell in cells for name in re.findall(r"`(torngas_aio(?:\.\w+)+)`", cell)]
    return sorted({name for name in names if not re.search(r"\.(accesslog|tracelog|infolog)$", name)})


def found(name: str) -> Any:
    """What *name* names: the longest module in it, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            target: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            target = getattr(target, part)
        return target
    raise AssertionError(name)


@pytest.mark.parametrize("name", sorted({name for page in PAGES if (DOCS / page).exists() for name in promised(page)}))
def test_every_promised_name_exists(name: str) -> None:
    assert found(name) is not None


@pytest.mark.parametrize("page", [page for page in PAGES if (DOCS / page).exists()])
def test_no_name_and_no_section_is_left_out(page: str) -> None:
    firsts = [cells[0] for cells in rows(page)]
    mentioned = {name for cell in firsts for name in re.findall(r"`([^`]+)`", cell)}
    mentioned |= {name.rpartition(".")[2] for name in mentioned}
    missing = [name for name in NAMES_OF_1_8 if name not in mentioned]
    missing += [section for section in SECTIONS if not any(section in first for first in firsts)]
    assert not missing, f"docs/{page}: begin a row of a table with each of {missing}"


def test_the_tables_are_not_empty() -> None:
    """A table that is written in another way would be passed over in silence."""
    assert len(promised("migration.md")) > 100


def test_the_earlier_name_of_the_file_cache() -> None:
    assert filebased.FileBasedCache is filecache.FileBasedCache
