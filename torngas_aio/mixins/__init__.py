"""Mix-ins for handlers.

flash_message.py  messages that are shown on the next page
"""

from torngas_aio._former_names import former_names
from torngas_aio.mixins.flash_message import FlashMessageMixIn

__all__ = ["FlashMessageMixIn"]

__getattr__ = former_names(__name__)
