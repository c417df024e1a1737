"""Mix-ins for handlers."""

from torngas_aio.mixins.flash_message import FlashMessageMixIn

__all__ = ["FlashMessageMixIn"]
