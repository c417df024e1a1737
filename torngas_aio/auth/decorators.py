"""The guards for single methods of a handler. Begin with `login_required`."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from torngas_aio.auth.guards import check_login, check_permission

__all__ = ["login_required", "permission_required"]

M = TypeVar("M", bound=Callable[..., Any])


def login_required(method: M) -> M:
    """Call an `async def` method of a handler only for a user who is logged in; else as `LoginRequired`."""
    return _guarded(method, check_login)


def permission_required(permission: str) -> Callable[[M], M]:
    """Call the method only for a user with *permission*; else as `PermissionRequired`."""

    def decorate(method: M) -> M:
        return _guarded(method, lambda handler: check_permission(handler, permission))

    return decorate


def _guarded(method: M, check: Callable[[Any], Awaitable[bool]]) -> M:
    @functools.wraps(method)
    async def call(handler: Any, *args: Any, **kwargs: Any) -> Any:
        return await method(handler, *args, **kwargs) if await check(handler) else None

    return call  # type: ignore[return-value]  # of the same signature
