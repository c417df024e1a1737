"""Patterns of this application; the list `urls` is what the server loads."""

from torngas_aio import Url, route

url = Url("__app__.handlers")

urls = route(
    url(name="__app__-index", pattern=r"/__app__/?", handler="main_handler.Index"),
)
