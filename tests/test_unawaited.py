"""A coroutine that is made in a request and never awaited is an error of that request, with its line."""

# mypy: disable-error-code="unused-coroutine, truthy-bool, redundant-expr, attr-defined"

import asyncio
import gc
import importlib
import inspect
import json
import logging
import pkgutil
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from tornado.web import HTTPError

import torngas_aio
from tests.db.models import User
from tests.db.support import configured, prepared
from torngas_aio._unawaited import Operation, collected_unawaited, tracked_origins, watch_unawaited
from torngas_aio.application import Application
from torngas_aio.cache import cache, caches
from torngas_aio.db.basedb import Database, database
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.exception import Unawaited
from torngas_aio.handler import WebHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.middleware.dbalchemy import DBAlchemyMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.signal import Signal
from torngas_aio.testing import TestClient

HERE = f"{__file__}:"
HELD: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_is_held() -> Iterator[None]:
    yield
    for each in HELD:
        getattr(each, "close", lambda: None)()
    HELD.clear()


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[None]:
    with configured({"default": {"connections": [{"DATABASE": str(tmp_path / "a.db")}]}}):
        async with prepared():
            yield


async def own() -> int:
    return 1


def line_of(function: Any, *words: str) -> str:
    """`HERE` and the line of *function* that has one of *words*."""
    lines, start = inspect.getsourcelines(function)
    place = next(place for place, line in enumerate(lines) if any(word in line for word in words))
    return f"{HERE}{start + place}"


async def bare(handler: Any) -> None:
    cache.set("k", 1)
    handler.write("saved")


async def in_a_variable(handler: Any) -> None:
    waits = cache.set("k", 1)  # noqa: F841
    handler.finish("saved")


async def in_a_condition(handler: Any) -> None:
    if cache.get("k"):
        handler.write("saved")


async def of_the_session(handler: Any) -> None:
    User.session.commit()
    handler.finish("saved")


async def of_a_query(handler: Any) -> None:
    User.Q.filter(User.id == 1).all()
    handler.write("saved")


async def of_a_query_deleted(handler: Any) -> None:
    User.Q.filter(User.id == 1).delete()
    handler.redirect("/elsewhere")


async def of_the_project(handler: Any) -> None:
    own()
    handler.write("saved")


async def of_a_statement(handler: Any) -> None:
    HELD[0].select("posts")
    handler.write("saved")


async def of_a_change(handler: Any) -> None:
    HELD[0].update("posts", where=1, title="x")
    handler.write("saved")


async def after_a_wait(handler: Any) -> None:
    await asyncio.sleep(0)
    cache.delete("k")
    await asyncio.sleep(0)
    handler.write("saved")


async def in_a_task_of_its_own(handler: Any) -> None:
    async def work() -> None:
        cache.delete("k")

    await asyncio.create_task(work())
    handler.write("saved")


async def in_a_comprehension(handler: Any) -> None:
    handler.write(f"saved {len([cache.get(key) for key in 'a'])}")


async def in_a_branch(handler: Any) -> None:
    cache.set("k", 1) if handler else None
    handler.write("saved")


async def in_an_assertion(handler: Any) -> None:
    assert own()
    handler.write("saved")


async def in_a_text(handler: Any) -> None:
    handler.write(f"saved {own()}")


async def as_a_default(handler: Any) -> None:
    handler.write({"saved": {"a": 1}.get("a", own())})


async def in_a_lambda(handler: Any) -> None:
    makes: dict[str, Callable[[], Any]] = {"a": lambda: own()}  # noqa: PLW0108
    makes["a"]()
    handler.write("saved")


async def in_a_walrus(handler: Any) -> None:
    if waits := own():
        del waits
    handler.write("saved")


async def before_an_attribute(handler: Any) -> None:
    with suppress(AttributeError):
        cache.get("k").decode()
    handler.write("saved")


async def from_a_helper(handler: Any) -> None:
    def helper() -> Any:
        return cache.get("k")

    helper()
    handler.write("saved")


async def in_a_decorator(handler: Any) -> None:
    def wrapped() -> None:
        own()

    wraps(own)(wrapped)()
    handler.write("saved")


async def returned(handler: Any) -> Any:
    handler.write("saved")
    return own()


async def with_its_refusal_swallowed(handler: Any) -> None:
    with suppress(TypeError):
        handler.posts = User.Q.all() or []
    handler.write("saved")


async def of_a_transaction(handler: Any) -> None:
    HELD[0].transaction()
    handler.write("saved")


async def of_a_transaction_opened_by_with(handler: Any) -> None:
    with suppress(TypeError), HELD[0].transaction():
        pass
    handler.write("saved")


async def of_a_flush(handler: Any) -> None:
    User.session.flush()
    handler.write("saved")


async def of_a_begin(handler: Any) -> None:
    User.session.begin()
    handler.write("saved")


async def of_a_savepoint(handler: Any) -> None:
    with suppress(TypeError), User.session.begin_nested():
        pass
    handler.write("saved")


async def of_scalars(handler: Any) -> None:
    with suppress(AttributeError):
        User.session.scalars(select(User)).all()
    handler.write("saved")


async def in_a_receiver(handler: Any) -> None:
    async def receives(**kwargs: Any) -> None:
        own()

    heard = Signal()
    heard.connect(receives)
    await heard.send(handler)
    handler.write("saved")


async def in_an_async_with(handler: Any) -> None:
    with suppress(TypeError, AttributeError):
        async with cache.get("k"):
            pass
    handler.write("saved")


async def in_an_async_for(handler: Any) -> None:
    with suppress(TypeError):
        async for _ in cache.get_many(["k"]):
            pass
    handler.write("saved")


FORGETFUL = [
    in_a_comprehension, in_a_branch, in_an_assertion, in_a_text, as_a_default, in_a_lambda, in_a_walrus,
    before_an_attribute, from_a_helper, in_a_decorator, returned, with_its_refusal_swallowed, of_a_transaction,
    of_a_transaction_opened_by_with, of_a_begin, of_a_savepoint, of_a_flush, of_scalars, in_a_receiver,
    in_an_async_with, in_an_async_for,
    bare, in_a_variable, in_a_condition, of_the_session, of_a_query, of_a_query_deleted, of_the_project,
    of_a_statement, of_a_change, after_a_wait, in_a_task_of_its_own,
]  # fmt: skip
NEAR = {
    bare, in_a_condition, of_the_session, of_a_query, of_a_query_deleted, of_the_project, of_a_statement, after_a_wait,
    in_a_task_of_its_own, in_an_assertion, as_a_default, of_a_flush, of_a_transaction, in_a_receiver,
    of_a_begin,
}  # fmt: skip
"""Those that are dropped in the line that makes them, which is all that is known without DEBUG."""

FORGOTTEN_WORDS = ("cache.", "HELD[0]", "User.session", "session.commit", "User.Q", "own()")


class Deed(WebHandler):
    deed: Callable[[Any], Any]

    async def get(self) -> None:
        await type(self).deed(self)


def app(deed: Callable[[Any], Any], *middlewares: Any, **options: Any) -> Application:
    HELD.append(database(dbn="sqlite", db=":memory:"))
    return Application([("/", type("Does", (Deed,), {"deed": staticmethod(deed)}))], middlewares=middlewares, **options)


@pytest.mark.parametrize("deed", FORGETFUL)
async def test_in_debug_the_answer_is_500_and_names_the_line(deed: Any, on_sqlite: None) -> None:
    async with TestClient(app(deed, debug=True), raise_errors=False) as client:
        answer = await client.get("/", headers={"Accept": "text/html"})
        assert answer.status_code == 500
        assert line_of(deed, *FORGOTTEN_WORDS) in answer.text
        assert [type(error) for error in client.errors] == [Unawaited]


@pytest.mark.parametrize("deed", FORGETFUL)
async def test_else_it_is_logged_with_its_function(
    deed: Any, on_sqlite: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(app(deed), raise_errors=False, follow_redirects=False) as client:
        assert (await client.get("/")).status_code in {200, 302}
    (line,) = [record for record in caplog.records if record.name == "torngas_aio.unawaited"]
    assert line.levelno == logging.ERROR
    assert "never awaited" in line.getMessage()
    if deed in NEAR:
        assert line_of(deed, *FORGOTTEN_WORDS) in line.getMessage()


@pytest.mark.parametrize("is_debug", [True, False])
@pytest.mark.parametrize("deed", FORGETFUL)
async def test_with_atomic_requests_the_answer_is_500_and_nothing_is_kept(
    deed: Any, is_debug: bool, on_sqlite: None
) -> None:
    async def writes_and_forgets(handler: Any) -> None:
        User.session.add(User(name="a"))
        await User.session.flush()
        await deed(handler)

    with settings.override(ATOMIC_REQUESTS=True):
        application = app(writes_and_forgets, DBAlchemyMiddleware, debug=is_debug)
        async with TestClient(application, raise_errors=False, follow_redirects=False) as client:
            assert (await client.get("/")).status_code == 500
            async with session_scope():
                assert await User.Q.count() == 0


class Forgetful(BaseMiddleware):
    """Forgets in the hook that a subclass names."""


@pytest.mark.parametrize("hook", ["process_call", "process_request", "process_response"])
async def test_what_a_hook_forgets_is_the_requests_error(hook: str) -> None:
    async def forget(self: Any, *args: Any) -> None:
        own()

    async def answer(handler: Any) -> None:
        handler.write("saved")

    middleware = type("Hooked", (Forgetful,), {hook: forget})
    async with TestClient(app(answer, middleware, debug=True), raise_errors=False) as client:
        answered = await client.get("/")
        assert answered.status_code == 500
        assert line_of(forget, " own()") in answered.text


@pytest.mark.parametrize("method", ["set_default_headers", "initialize", "prepare", "get_current_user"])
async def test_what_a_handlers_plain_methods_forget_is_the_requests_error(method: str) -> None:
    async def answer(handler: Any) -> None:
        handler.write(f"saved {handler.current_user}")

    def forget(self: Any) -> None:
        own()

    does = type("Does", (Deed,), {"deed": staticmethod(answer), method: forget})
    async with TestClient(Application([("/", does)], debug=True), raise_errors=False) as client:
        answered = await client.get("/")
        assert answered.status_code == 500
        assert line_of(forget, " own()") in answered.text


async def used(handler: Any) -> None:
    """Everything that may be left alone, or is awaited elsewhere."""
    User.Q.filter(User.id == 1).order_by(User.id)
    await asyncio.gather(own(), cache.get("k"), User.Q.all())
    never_run = asyncio.create_task(own())
    never_run.cancel()
    later = asyncio.create_task(own())
    kept = cache.get("k")
    await kept
    page = await User.Q.all().paginate()
    async for _ in User.Q.all():
        pass
    async for _ in HELD[0].query("SELECT 1 AS one"):
        pass
    async with User.session.begin_nested():
        pass
    assert page.total == 0
    await later
    handler.finish("saved")


@pytest.mark.parametrize("is_debug", [True, False])
async def test_builders_completions_and_what_tasks_were_given_never_count(
    is_debug: bool, on_sqlite: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(app(used, debug=is_debug)) as client:
        assert (await client.get("/")).text == "saved"
    assert not [record for record in caplog.records if record.name == "torngas_aio.unawaited"]


async def test_a_request_that_failed_is_answered_as_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(handler: Any) -> None:
        waits = cache.get("k")
        own()
        raise HTTPError(404, "%s", waits)

    async with TestClient(app(fails, debug=True), raise_errors=False) as client:
        assert (await client.get("/")).status_code == 404
    assert "own() was called and never awaited" in caplog.text


async def test_what_the_collector_finds_is_logged_and_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    async def collects(handler: Any) -> None:
        cycle: list[Any] = [own()]
        cycle.append(cycle)
        del cycle
        gc.collect()
        handler.write("saved")

    gc.disable()
    try:
        async with TestClient(app(collects, debug=True)) as client:
            assert (await client.get("/")).status_code == 200
    finally:
        gc.enable()
    assert "own() was called and never awaited" in caplog.text


async def test_one_that_is_still_held_is_logged_when_it_dies(caplog: pytest.LogCaptureFixture) -> None:
    async def holds(handler: Any) -> None:
        handler.waits = own()
        handler.write("saved")

    async with TestClient(app(holds, debug=True), raise_errors=False) as client:
        assert (await client.get("/")).status_code == 200
        gc.collect()
    assert "own() was called and never awaited" in caplog.text


async def test_several_are_told_together() -> None:
    async def forgets(handler: Any) -> None:
        cache.set("k", 1)
        own()
        handler.write("saved")

    async with TestClient(app(forgets, debug=True), raise_errors=False) as client:
        text = (await client.get("/")).text
    assert line_of(forgets, "cache.set") in text
    assert line_of(forgets, " own()") in text


async def test_an_answer_that_has_left_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    async def streams(handler: Any) -> None:
        handler.write("saved")
        await handler.flush()
        own()

    async with TestClient(app(streams, debug=True), raise_errors=False) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.text) == (200, "saved")
    assert line_of(streams, " own()") in caplog.text


def test_outside_requests_python_warns_as_ever() -> None:
    Application([])
    with pytest.warns(RuntimeWarning, match="never awaited"):
        own()


def test_outside_requests_each_is_warned_of_with_its_line() -> None:
    watch_unawaited()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        for _ in range(2):
            own()
    here = line_of(test_outside_requests_each_is_warned_of_with_its_line, " own()")
    assert [f"{each.filename}:{each.lineno}" for each in warned] == [here, here]
    assert str(warned[0].message) == "coroutine 'own' was never awaited"


def test_outside_requests_the_warning_says_where_it_was_made() -> None:
    with tracked_origins(), pytest.warns(RuntimeWarning, match="never awaited") as warned:
        own()
    assert "  own()" in str(warned[0].message).splitlines()[-1]


def test_at_the_interpreters_end_python_warns_as_ever() -> None:
    code = "import torngas_aio._unawaited as u\nu.watch_unawaited()\nasync def own(): pass\nhas = own()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "coroutine 'own' was never awaited" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_script_has_a_list_of_what_it_forgot() -> None:
    with collected_unawaited() as found:
        own()
        cycle: list[Any] = [own()]
        cycle.append(cycle)
        del cycle
    assert ["own()" in str(each) for each in found] == [True, True]


@pytest.mark.parametrize(
    "use",
    [bool, iter, len, lambda it: 1 in it, lambda it: it[0], lambda it: it or [], lambda it: it.__enter__()],
    ids=["bool", "iter", "len", "in", "index", "or", "with"],
)
async def test_an_operation_that_is_used_as_its_result_says_what_is_missing(use: Any) -> None:
    with collected_unawaited() as found, pytest.raises(TypeError, match=r"own\(\) has not been awaited.*[Ww]rite"):
        use(Operation(own, "own"))
    assert len(found) == 1


# ------------------------------------------------------------------ every public coroutine


def coroutine_functions() -> dict[str, Callable[..., Any]]:
    """Every public coroutine function and method of the package, and those of SQLAlchemy's session."""
    found: dict[str, Callable[..., Any]] = {}
    for info in pkgutil.walk_packages(torngas_aio.__path__, "torngas_aio."):
        if ".templates." in info.name or info.name.endswith((".__main__", ".migration_scripts.env")):
            continue
        module = importlib.import_module(info.name)
        for name in getattr(module, "__all__", ()):
            collect(found, getattr(module, name))
    for each in (AsyncSession, AsyncConnection):
        collect(found, each)
    return found


def collect(found: dict[str, Callable[..., Any]], item: Any) -> None:
    names = [name for name in dir(item) if name[:1] != "_"] if isinstance(item, type) else []
    for member in [inspect.getattr_static(item, name) for name in names] or [item]:
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isroutine(function) and inspect.iscoroutinefunction(function):
            found[f"{function.__module__}.{function.__qualname__}"] = function


FUNCTIONS = coroutine_functions()


def dropped(function: Callable[..., Any]) -> None:
    """Call *function* with whatever it takes, and drop what it returns; nothing of it runs."""
    parameters = inspect.signature(function).parameters.values()
    given = [None for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
    named = {each.name: None for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty}
    function(*given, **named)


def test_the_walk_finds_what_users_call() -> None:
    names = " ".join(FUNCTIONS)
    for name in (
        "BaseCache.set", "Query.first", "Database.aclose", "Session.save", "AsyncSession.commit", "Signal.send",
        "Pagination.next", "DbConnection.create_db", "Transaction.commit",
    ):  # fmt: skip
        assert name in names, name
    assert len(FUNCTIONS) > 200


@pytest.mark.parametrize("is_debug", [True, False])
async def test_every_public_coroutine_that_is_forgotten_is_told(
    is_debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def forgets_all(handler: Any) -> None:
        for function in FUNCTIONS.values():
            dropped(function)
        handler.write("saved")

    async with TestClient(app(forgets_all, debug=is_debug), raise_errors=False) as client:
        answer = await client.get("/")
        told = "\n".join(map(str, client.errors))
    assert answer.status_code == (500 if is_debug else 200)
    assert [name for name, function in FUNCTIONS.items() if f"{function.__qualname__}() was" not in told] == []


@pytest.mark.parametrize("name", ["query", "select", "where", "insert", "multiple_insert", "update", "delete"])
def test_every_statement_of_basedb_is_an_operation(name: str) -> None:
    arguments = {"query": ("SELECT 1",), "multiple_insert": ("posts", [{"a": 1}]), "update": ("posts", 1, None)}
    values = {"update": {"a": 1}, "insert": {"a": 1}}
    db: Database = database(dbn="sqlite", db=":memory:")
    with collected_unawaited() as found:
        getattr(db, name)(
            *arguments.get(name, ("posts",)), **({"where": 1} if name == "delete" else values.get(name, {}))
        )
    assert len(found) == 1


async def test_asking_the_cache_with_in_says_has_key() -> None:
    for each in (cache, caches["default"]):
        with pytest.raises(TypeError, match=r"await cache.has_key\('k'\)"):
            assert "k" in each


@pytest.mark.parametrize(
    "make", [lambda: caches["default"].lock("a"), lambda: database(dbn="sqlite", db=":memory:").transaction()]
)
async def test_a_plain_with_says_async_with(make: Any) -> None:
    with collected_unawaited(), pytest.raises(TypeError, match="async with"), make():
        pass


class Locked(WebHandler):
    """Fails by what it forgot."""

    async def get(self, way: str) -> None:
        if way == "scope":
            with session_scope():
                pass
        elif way == "rows":
            users = User.Q.all()
            HELD.append(users._waiting)
            self.write({"users": users})
        elif way == "text":
            self.write(json.dumps({"number": HELD[-1]}))
        elif way != "condition":
            found: Any = own()
            HELD.append(found)  # which closes it: a traceback keeps it beyond the request
            self.write({"a": found} if way == "dict" else found.title if way == "attribute" else found[0])
        elif cache.get("closed"):
            raise HTTPError(403)


@pytest.mark.parametrize("way", ["attribute", "subscript", "condition", "dict", "rows", "text", "scope"])
async def test_the_error_that_a_forgotten_await_leads_to_says_so(way: str) -> None:
    HELD.append(own())
    application = Application([("/(.*)", Locked)], debug=True, autoreload=False)
    async with TestClient(application, raise_errors=False) as client:
        page = (await client.get(f"/{way}", headers={"Accept": "text/plain"})).text
    assert {"attribute": "AttributeError", "condition": "403", "dict": "$.a", "rows": "$.users"}.get(
        way, "TypeError"
    ) in page
    assert {
        "scope": "Write `async with`",
        "attribute": f"{line_of(Locked.get, 'own()')}: own() was called and never awaited",
        "condition": f"{line_of(Locked.get, 'cache.get')}: LocMemCache.get() was called and never awaited",
    }.get(way, "write `await` before the call") in page


@pytest.mark.parametrize("tracked", [tracked_origins, nullcontext])
def test_what_started_the_loop_is_not_taken_for_the_line_that_forgot(tracked: Any) -> None:
    async def forgotten() -> None:
        pass

    async def drops_below_the_loop() -> None:
        asyncio.get_running_loop().call_soon(partial(forgotten))
        await asyncio.sleep(0)

    with tracked(), collected_unawaited() as found:
        asyncio.run(drops_below_the_loop())
    (error,) = found
    assert "near" not in str(error)
    assert str(error).endswith(f"It is defined in {__file__}:{forgotten.__code__.co_firstlineno}.")


class Untold(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("it has no text")


@pytest.mark.parametrize("debug", [False, True])
async def test_an_error_that_has_no_text_is_handled_as_any_other(debug: bool, caplog: pytest.LogCaptureFixture) -> None:
    class Raises(WebHandler):
        async def get(self) -> None:
            raise Untold

    seen: list[object] = []

    class Watch(BaseMiddleware):
        async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
            seen.append(typ)

    async with TestClient(Application([("/", Raises)], middlewares=[Watch], debug=debug)) as client:
        assert (await client.get("/")).status_code == 500
    assert seen == [Untold]
    assert "raise Untold" in caplog.text
