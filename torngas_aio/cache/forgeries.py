"""Values of a store that others may write to: signed by default, and removed when their signature is none of ours.

    serializer_of   OPTIONS['SERIALIZER'], else signed pickle on shared stores, with the project's secret
    Forgeries       what `InvalidSignature` means to a cache: a miss, removed, logged once

Begin with `serializer_of`.
"""

import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torngas_aio.cache.serializers import Serializer, make_serializer
from torngas_aio.cache.store import Store
from torngas_aio.exception import CacheUnavailable, InvalidSignature

__all__ = ["Forgeries", "serializer_of"]

logger = logging.getLogger("torngas_aio.cache")

_RUN_SECRET = secrets.token_bytes(32)


def serializer_of(params: Mapping[str, Any], *, is_shared: bool, owner: str) -> Serializer:
    """Return the serializer of a cache; warns when it signs with a secret that does not outlive the process.

    Args:
        params: An alias's settings with SECRET_KEY, the project's secret or secrets, or RUN_SECRET.
        is_shared: Whether other processes can write to the store.
        owner: Who it is for, in messages.

    Raises:
        ConfigError: The serializer does not exist, or its secret is too short.
    """
    options: Mapping[str, Any] = params.get("OPTIONS") or {}
    spec = options.get("SERIALIZER", params.get("SERIALIZER"))
    if spec is None:
        spec = "signed-pickle" if is_shared else "pickle"
    if spec != "signed-pickle" or "SECRET_KEY" in options or not is_shared:
        return make_serializer(spec, options)
    secret = params.get("SECRET_KEY")
    if secret is None:
        logger.warning(
            "%s signs its values with a random secret, made for this run: no other process and no later run can "
            "read them. Set TORNADO_CONF['cookie_secret'], or OPTIONS['SECRET_KEY'].",
            owner,
        )
    return make_serializer(spec, {"SECRET_KEY": secret or params.get("RUN_SECRET") or _RUN_SECRET})


class Forgeries:
    """The values of *store* that were met without a valid signature."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._was_told = False

    async def remove(self, stored_key: str, data: bytes, error: InvalidSignature) -> None:
        """Remove *data* from *stored_key*, so that `add`, `has_key` and the rest see the key as absent, too."""
        if not self._was_told:
            self._was_told = True
            logger.error(
                "%s: %s It counts as absent and is removed, as all such values will be, without a further line. Its "
                "secret is another process's or a former one, it was stored before values were signed, or another "
                "program writes to the store.",
                self._owner,
                error,
            )
        store = self._store
        with suppress(CacheUnavailable):  # it stays a miss
            if not store.can_swap:
                await store.raw_delete(stored_key)
                return
            found = await store.raw_read(stored_key)
            if found is not None and found.data == data:
                await store.raw_drop(stored_key, found.token)
