"""The guest book, kept in memory for as long as the process lives."""

from collections import deque

from hello.handlers.base import Page

from torngas_aio.exception import Http404

ENTRIES: deque[tuple[str, str]] = deque(maxlen=100)


class Entries(Page):
    async def get(self) -> None:
        await self.render("guestbook.html", entries=list(ENTRIES))

    async def post(self) -> None:
        text = self.get_body_argument("text").strip()[:500]
        if text:
            ENTRIES.append((str(self.current_user), text))
            self.flash("Thank you for your words.", "success")
        else:
            self.flash("An empty page says nothing.", "warning")
        await self.redirect(self.reverse_url("Guestbook-List"))


class Entry(Page):
    async def get(self, number: str) -> None:
        if not 1 <= int(number) <= len(ENTRIES):
            raise Http404("Entry %s of %s", number, len(ENTRIES))
        author, text = ENTRIES[int(number) - 1]
        await self.render("entry.html", author=author, text=text)
