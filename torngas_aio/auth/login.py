"""Login and logout of a handler's visitor. Begin with `LoginMixIn.login`."""

from typing import Any

from torngas_aio.auth.users import key_of

__all__ = ["LoginMixIn"]


class LoginMixIn:
    """Mixed into a handler class, before it; needs SessionMiddleware and AuthMiddleware."""

    session: Any
    current_user: Any

    async def login(self, user: Any) -> None:
        """Make *user* the one of this session: it gets a new id, and what another user left in it is dropped."""
        key = key_of(user)
        if self.session.user not in {"", key}:
            self.session.clear()
        self.session.cycle_id()
        self.session.bind_user(key)
        self.current_user = user

    def logout(self) -> None:
        """End the session, and with it the login."""
        self.session.expired()
        self.current_user = None
