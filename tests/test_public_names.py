"""The dotted names that users write in settings and imports: they stay importable wherever their code is moved."""

from importlib import import_module

import pytest

PUBLIC_NAMES = {
    "application": "Application",
    "asgi": "get_asgi_application",
    "cache": "cache cached caches",
    "cache.backends.base": "BaseCache",
    "cache.backends.dummy": "DummyCache",
    "cache.backends.filebased": "FileBasedCache",
    "cache.backends.filecache": "FileBasedCache",
    "cache.backends.localcache": "LocMemCache",
    "cache.backends.memcached": "MemcachedCache",
    "cache.backends.rediscache": "RedisCache RedisClient",
    "cache.keys": "hashed_key",
    "db.basedb": "SQLLiteral SQLQuery database reparam sqllist sqlors sqlquote",
    "db.dbalchemy": "Connector DbConnection DbSession Model Pagination Query",
    "decorators.async_execute": "async_execute",
    "decorators.whitelist": "whitelisted",
    "dispatch": "Signal receiver",
    "exception": "ArgumentError BaseError ConfigError Http404 Http500 HttpBadRequestError HttpForbiddenError"
    " HttpNotAllowError NotCallableError UrlError",
    "handler": "ApiHandler BaseHandler ErrorHandler WebHandler WebSocketHandler",
    "httpmodule": "BaseHttpModule",
    "httpmodule.httpmodule": "HttpModuleMiddleware",
    "logger": "ProcessLogTimedFileHandler SysLogger access_logger info_logger syslogger trace_logger",
    "middleware": "BaseMiddleware",
    "middleware.accesslog": "AccessLogMiddleware",
    "middleware.cors": "CORSMiddleware",
    "middleware.dbalchemy": "DBAlchemyMiddleware",
    "middleware.security": "AllowedHostsMiddleware SecurityHeadersMiddleware",
    "middleware.session": "SessionMiddleware SignalMiddleware",
    "middleware.signal": "SignalMiddleware",
    "mixins.flash_message": "FlashMessageMixIn",
    "session": "Session",
    "settings_manager": "settings",
    "signal": "call_finished call_started handler_render handler_response handler_started receiver",
    "storage": "Storage storify",
    "template": "TemplateLoader",
    "template.jinja2_loader": "Jinja2TemplateLoader",
    "template.mako_loader": "MakoTemplateLoader",
    "testing": "TestClient",
    "urlhelper": "Url include route",
    "utils": "IterBetter Null cached_property iterbetter request_context safestr safeunicode sleep",
    "utils.redirects": "is_safe_redirect safe_redirect_target",
    "webserver": "Server run serve",
}


@pytest.mark.parametrize("module", PUBLIC_NAMES)
def test_public_names_are_importable(module: str) -> None:
    found = import_module(f"torngas_aio.{module}")
    assert [name for name in PUBLIC_NAMES[module].split() if not hasattr(found, name)] == []
