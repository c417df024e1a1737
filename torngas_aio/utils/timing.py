"""Waiting without holding the loop. Begin with `sleep`."""

import asyncio

__all__ = ["sleep"]


async def sleep(seconds: float) -> None:
    """Let the other requests run for *seconds*; `await` it, or `yield` it in a `@gen.coroutine`."""
    await asyncio.sleep(seconds)
