"""Tornado's two guards against forged forms, turned on by its settings, in our handlers."""

import pytest

from torngas_aio.application import Application
from torngas_aio.handler import ApiHandler, WebHandler
from torngas_aio.testing import TestClient


class Form(WebHandler):
    async def get(self) -> None:
        self.write(self.xsrf_token)

    async def post(self) -> None:
        self.write("posted")


class Api(ApiHandler):
    async def post(self) -> None:
        self.write("posted")


ROUTES = [("/form", Form), ("/api", Api)]


@pytest.mark.parametrize("path", ["/form", "/api"])
async def test_with_xsrf_cookies_a_post_wants_the_token(path: str) -> None:
    async with TestClient(Application(ROUTES, xsrf_cookies=True)) as client:
        assert (await client.post(path)).status_code == 403
        token = (await client.get("/form")).text
        assert (await client.post(path, data={"_xsrf": "wrong"})).status_code == 403
        assert (await client.post(path, data={"_xsrf": token})).text == "posted"
        assert (await client.post(path, headers={"X-XSRFToken": token})).text == "posted"


@pytest.mark.parametrize("path", ["/form", "/api"])
async def test_with_cross_origin_protection_a_foreign_page_cannot_post(path: str) -> None:
    async with TestClient(Application(ROUTES, cross_origin_protection=True)) as client:
        assert (await client.post(path, headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403
        assert (await client.post(path, headers={"Sec-Fetch-Site": "same-site"})).status_code == 403
        assert (await client.post(path, headers={"Origin": "https://evil.com"})).status_code == 403
        assert (await client.post(path, headers={"Sec-Fetch-Site": "same-origin"})).text == "posted"
        assert (await client.post(path)).text == "posted"
