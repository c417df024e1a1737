"""A browser and its requests without HTTP: only the cookie is sent and received.

Begin with `Visitor.request`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie

from tests.contracts.cache.subject import Clock, Subject
from torngas_aio.session import Session, SessionConfig, SessionStore

__all__ = ["SECRET", "Stores", "Visitor"]

SECRET = "a long random text for these tests"


class Stores:
    """Session stores of several processes on one shared store."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.clock = Clock()

    def open(self, **config: object) -> SessionStore:
        store = SessionStore(self.subject.make(), SessionConfig.of({"secret_key": SECRET, **config}))
        store.clock = self.clock
        return store


class Visitor:
    """One browser; `store` is the process that serves it."""

    def __init__(self, store: SessionStore, cookie: str | None = None, address: str = "10.0.0.1") -> None:
        self.store = store
        self.cookie = cookie
        self.address = address
        self.max_age: str = ""

    @asynccontextmanager
    async def request(self) -> AsyncIterator[Session]:
        """Open the session, save it when the block ends, and store the cookie of the response."""
        session = await self.open()
        yield session
        await self.close(session)

    async def open(self) -> Session:
        header = f"other=1; {self.store.config.session_name}={self.cookie}" if self.cookie else "other=1"
        return await self.store.open(self.store.cookies_of(header), self.address)

    async def close(self, session: Session) -> None:
        await session.save()
        line = self.store.set_cookie(session.state)
        if line is not None:
            morsel = SimpleCookie(line)[self.store.config.session_name]
            self.max_age = morsel["max-age"]
            self.cookie = None if self.max_age == "0" else morsel.value

    async def data(self) -> dict[str, object]:
        async with self.request() as session:
            return dict(session)

    def copy(self, store: SessionStore | None = None) -> "Visitor":
        """Return another tab of the browser, served by *store*."""
        return Visitor(store or self.store, self.cookie, self.address)
