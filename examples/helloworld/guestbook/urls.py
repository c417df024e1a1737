"""The guest book stands under /guestbook; its own table is included."""

from torngas_aio import include, route

urls = route(include("/guestbook", "guestbook.url_entries.URLS", prefix_name="Guestbook"))
