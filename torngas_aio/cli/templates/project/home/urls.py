"""Patterns of this application; the list `urls` is what the server loads."""

from torngas_aio import Url, route

url = Url("home.handlers")

urls = route(
    url(name="index", pattern=r"/", handler="main_handler.Index"),
    url(name="hello", pattern=r"/api/hello/([^/]+)/?", handler="main_handler.Hello"),
)
