"""The format of an API answer: asked for in the query or the body, else by Accept, else JSON."""

from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.handler import ApiHandler
from torngas_aio.testing import TestClient


class Format(ApiHandler):
    async def get(self) -> None:
        await self.finish(self.get_format())

    post = get


class Fixed(Format):
    def get_argument(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return "own"


@pytest.mark.parametrize("door", ["torngas_aio", "tornado"])
@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        ("GET", "/", {}, "json"),
        ("GET", "/?other=1", {}, "json"),
        ("GET", "/?format=jsonp", {}, "jsonp"),
        ("GET", "/?page=1&%66or%6Dat=JSONP", {}, "jsonp"),
        ("GET", "/?information=1&q=a%20b", {}, "json"),
        ("GET", "/?format=", {"headers": {"Accept": "text/javascript"}}, "jsonp"),
        ("GET", "/", {"headers": {"accept": "a/b, application/javascript;q=0.9"}}, "jsonp"),
        ("GET", "/", {"headers": {"X-Other": "javascript"}}, "json"),
        ("POST", "/", {"data": {"format": "jsonp"}}, "jsonp"),
        ("POST", "/?page=1", {"data": {"format": "jsonp"}}, "jsonp"),
        ("POST", "/", {"json": {"format": "jsonp"}}, "json"),
        ("GET", "/fixed", {}, "own"),
    ],
)
async def test_the_format_that_was_asked_for(
    door: str, method: str, path: str, options: dict[str, Any], expected: str
) -> None:
    application = Application([("/", Format), ("/fixed", Fixed)])
    async with TestClient(application, http_server=door) as client:
        assert (await client.request(method, path, **options)).text == expected


class Returns(ApiHandler):
    async def get(self) -> Any:
        return {"a": 1}

    post = get


@pytest.mark.parametrize(
    ("method", "query", "expected"),
    [
        ("GET", "format=csv", '{"a":1}'),
        ("GET", "format=jsonp&callback=f", '/**/f({"a":1});'),
        ("POST", "format=csv", '{"a":1}'),
        ("POST", "format=jsonp&callback=f", '/**/f({"a":1});'),
        ("POST", "format=jsonp&callback=(", '{"a":1}'),
    ],
)
async def test_an_argument_called_format_does_not_fail_what_was_done(
    door: str, method: str, query: str, expected: str
) -> None:
    async with TestClient(Application([("/", Returns)]), http_server=door) as client:
        answer = await client.request(method, f"/?{query}")
        assert (answer.status_code, answer.text) == (200, expected)


class AddArgument:
    """Adds the format where the request says."""

    async def process_request(self, handler: Any, clear: Any) -> None:
        getattr(handler.request, handler.request.headers["X-Into"])["format"] = [b"jsonp"]


@pytest.mark.parametrize("into", ["arguments", "query_arguments", "body_arguments"])
async def test_a_format_that_a_middleware_adds_to_the_arguments_counts(into: str) -> None:
    async with TestClient(Application([("/", Format)], middlewares=[AddArgument])) as client:
        answer = await client.post("/?page=1", json={"a": 1}, headers={"X-Into": into})
        assert answer.text == "jsonp"
