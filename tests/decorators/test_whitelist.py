"""Who is let in, and that nobody else is. (Over a socket: tests/decorators/test_whitelist_served.py.)"""

from types import SimpleNamespace
from typing import Any

import pytest
from tornado import gen
from tornado.web import RequestHandler

from torngas_aio.decorators.whitelist import whitelisted
from torngas_aio.exception import ArgumentError, ConfigError, HttpForbiddenError
from torngas_aio.settings_manager import settings


def handler_from(address: str | None) -> Any:
    return SimpleNamespace(request=SimpleNamespace(remote_ip=address))


class Methods:
    @whitelisted("10.0.0.0/8", "::1")
    def plain(self, word: str) -> str:
        return word

    @whitelisted(["10.0.0.0/8", "::1"])
    async def asynchronous(self, word: str) -> str:
        return word

    @whitelisted(("10.0.0.0/8", "::1"))
    @gen.coroutine
    def old_style(self, word: str) -> Any:
        yield gen.moment
        return word

    @whitelisted
    def by_settings(self) -> str:
        return "in"

    @whitelisted()
    async def by_settings_called(self) -> str:
        return "in"


@pytest.mark.parametrize("address", ["10.1.2.3", "::1", "::ffff:10.9.9.9"])
async def test_a_listed_address_is_let_in(address: str) -> None:
    handler = handler_from(address)
    assert Methods.plain(handler, "a") == "a"
    assert await Methods.asynchronous(handler, "b") == "b"
    assert await Methods.old_style(handler, "c") == "c"


@pytest.mark.parametrize("address", ["11.1.2.3", "::2", "", None, "10.1.2.3, 1.1.1.1"])
async def test_anybody_else_is_answered_403_before_the_method_runs(address: str | None) -> None:
    handler = handler_from(address)
    for method in (Methods.plain, Methods.asynchronous, Methods.old_style):
        with pytest.raises(HttpForbiddenError) as caught:
            await method(handler, "x")
        assert caught.value.status_code == 403


async def test_without_an_argument_the_setting_is_asked_at_each_request() -> None:
    handler = handler_from("10.1.2.3")
    nobody: list[object] = [False, (), [], None]
    for closed in nobody:
        with settings.override(WHITELIST=closed), pytest.raises(HttpForbiddenError):
            Methods.by_settings(handler)
    for opened in (("10.0.0.0/8",), ["10.1.2.3"], "10.1.2.3"):
        with settings.override(WHITELIST=opened):
            assert Methods.by_settings(handler) == await Methods.by_settings_called(handler) == "in"


def test_a_wrong_address_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"'10\.0\.0\.300' is no address"):
        whitelisted("10.0.0.300")
    with settings.override(WHITELIST=("nonsense",)), pytest.raises(ConfigError, match="'nonsense'"):
        Methods.by_settings(handler_from("10.1.2.3"))


@pytest.mark.parametrize("wrong", [3, "text", object()])
def test_it_stands_above_methods_and_handler_classes_only(wrong: object) -> None:
    with pytest.raises(ArgumentError, match="stands above"):
        whitelisted()(wrong)
    with pytest.raises(ArgumentError, match="stands above"):
        whitelisted(dict)
    with pytest.raises(ArgumentError, match="as text, not 3"):
        whitelisted(3)


def test_a_class_is_guarded_with_its_subclasses_and_inherited_methods() -> None:
    made: list[type] = []

    class Noted(RequestHandler):
        def get(self) -> None: ...

    @whitelisted("10.0.0.0/8")
    class Guarded(Noted):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            made.append(cls)

        async def post(self) -> str:  # type: ignore[override]
            return "posted"

    class Below(Guarded):
        def get(self) -> None: ...
        def delete(self) -> None: ...
        def prepare(self) -> None: ...

    assert made == [Below]
    stranger, friend = handler_from("11.0.0.1"), handler_from("10.0.0.1")
    for cls, name in [(Guarded, "get"), (Guarded, "post"), (Guarded, "prepare"), (Below, "get"), (Below, "delete")]:
        with pytest.raises(HttpForbiddenError):
            assert getattr(cls, name)(stranger).send(None)
    with pytest.raises(HttpForbiddenError):
        Below.prepare(stranger)
    Below.get(friend)
    Noted.get(stranger)


def test_a_class_without_a_subclass_hook_guards_its_subclasses_too() -> None:
    @whitelisted
    class Guarded(RequestHandler):
        pass

    class Below(Guarded):
        def get(self) -> None: ...

    with pytest.raises(HttpForbiddenError):
        Below.get(handler_from("127.0.0.1"))
