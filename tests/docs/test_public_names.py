"""Every public name is on a page, save those listed here; the list may only shrink."""

import importlib
import pkgutil
import re
from pathlib import Path

import torngas_aio

ROOT = Path(__file__).parents[2]

MISSING = frozenset(
    [
        "torngas_aio.__version__",
        "torngas_aio.api.FieldError",
        "torngas_aio.api.InvalidRequest",
        "torngas_aio.api.bind_methods",
        "torngas_aio.asgi.AsgiApplication",
        "torngas_aio.cache.DEFAULT_CACHE_ALIAS",
        "torngas_aio.cache.DEFAULT_DUMMY_ALIAS",
        "torngas_aio.cache.DEFAULT_MEMCACHED_ALIAS",
        "torngas_aio.cache.DEFAULT_REDIS_ALIAS",
        "torngas_aio.cache.InvalidCacheBackendError",
        "torngas_aio.cache.close_caches",
        "torngas_aio.channels.BaseChannels",
        "torngas_aio.channels.Message",
        "torngas_aio.channels.Subscription",
        "torngas_aio.checks.check_settings",
        "torngas_aio.checks.deploy_cautions",
        "torngas_aio.checks.fill_secrets",
        "torngas_aio.checks.missing_secrets",
        "torngas_aio.checks.share_random_secrets",
        "torngas_aio.checks.weak_secret_faults",
        "torngas_aio.db.basedb.MySQLDB",
        "torngas_aio.db.basedb.Pool",
        "torngas_aio.db.basedb.PostgresDB",
        "torngas_aio.db.basedb.SQLParam",
        "torngas_aio.db.basedb.SqliteDB",
        "torngas_aio.db.basedb.Statement",
        "torngas_aio.db.basedb.Transaction",
        "torngas_aio.db.basedb.TransactionError",
        "torngas_aio.db.basedb.UnknownDB",
        "torngas_aio.db.basedb.dburl2dict",
        "torngas_aio.db.basedb.sqlify",
        "torngas_aio.db.basedb.sqlliteral",
        "torngas_aio.db.basedb.sqlparam",
        "torngas_aio.db.basedb.sqlwhere",
        "torngas_aio.db.basedb.drivers.Driver",
        "torngas_aio.db.basedb.drivers.Result",
        "torngas_aio.db.basedb.drivers.make_driver",
        "torngas_aio.db.dbalchemy.BaseQuery",
        "torngas_aio.db.dbalchemy.KeysetPage",
        "torngas_aio.db.dbalchemy.MetaBaseModel",
        "torngas_aio.db.dbalchemy.current_session",
        "torngas_aio.db.dbalchemy.rolled_back",
        "torngas_aio.dispatch.Receiver",
        "torngas_aio.errorpage.ErrorAnswer",
        "torngas_aio.errorpage.public_detail",
        "torngas_aio.errorpage.render_error",
        "torngas_aio.errorpage.render_error_template",
        "torngas_aio.errorpage.wants_html",
        "torngas_aio.logger.DEGRADED_SECONDS",
        "torngas_aio.logger.REQUEST_ID_HEADER",
        "torngas_aio.logger.BackgroundStreamHandler",
        "torngas_aio.logger.JsonFormatter",
        "torngas_aio.logger.LineFormatter",
        "torngas_aio.logger.OutageLog",
        "torngas_aio.logger.init_logging",
        "torngas_aio.logger.level_of",
        "torngas_aio.logger.request_id_of",
        "torngas_aio.logger.request_summary",
        "torngas_aio.pipeline.FAILED",
        "torngas_aio.pipeline.IDLE",
        "torngas_aio.pipeline.NOTHING",
        "torngas_aio.pipeline.ROUTE_STAGES",
        "torngas_aio.pipeline.STAGES",
        "torngas_aio.pipeline.Hook",
        "torngas_aio.pipeline.HookCall",
        "torngas_aio.pipeline.RouteAware",
        "torngas_aio.pipeline.RouteStages",
        "torngas_aio.pipeline.hooks_of",
        "torngas_aio.pipeline.no_hook",
        "torngas_aio.routing.ApplicationRouter",
        "torngas_aio.routing.Resolved",
        "torngas_aio.routing.Route",
        "torngas_aio.session.SessionConfig",
        "torngas_aio.session.SessionStore",
        "torngas_aio.session.session_store",
        "torngas_aio.template.HANDLER_NAMES",
        "torngas_aio.template.adapted",
        "torngas_aio.template.handler_namespace",
        "torngas_aio.testing.HOW_TO_INSTALL",
        "torngas_aio.testing.LIBRARIES",
        "torngas_aio.utils.escape_controls",
        "torngas_aio.utils.is_safe_redirect",
        "torngas_aio.utils.quote_field",
    ]
)
"""Names that no page mentions yet. Document one and delete its line; add none."""


def undocumented() -> set[str]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    return {f"{package}.{name}" for package in public_packages() for name in exported(package) if name not in words}


def public_packages() -> list[str]:
    found = pkgutil.walk_packages(torngas_aio.__path__, "torngas_aio.")
    inner = [each.name for each in found if each.ispkg and "._" not in each.name and ".templates" not in each.name]
    return ["torngas_aio", *inner]


def exported(package: str) -> list[str]:
    return list(getattr(importlib.import_module(package), "__all__", ()))


def test_no_further_public_name_is_undocumented() -> None:
    assert not undocumented() - MISSING


def test_documented_names_are_taken_off_the_list() -> None:
    assert not MISSING - undocumented()
