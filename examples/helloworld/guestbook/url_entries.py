"""What stands below the guest book's address."""

from torngas_aio import Url, route

u = Url("guestbook.handlers")
URLS = route(
    u(name="List", pattern=r"/?", handler="book_handler.Entries"),
    u(name="Entry", pattern=r"/(\d+)", handler="book_handler.Entry"),
)
