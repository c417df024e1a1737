"""The fixture `override_settings`; `db_session` and `job_queue` have files of their own."""

from collections.abc import Callable

import pytest

from torngas_aio.exception import ArgumentError
from torngas_aio.settings_manager import settings


async def test_a_setting_that_is_misspelt_is_refused(override_settings: Callable[..., None]) -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'MIDDLEWARE_CLASSES'"):
        override_settings(MIDLEWARE_CLASSES=())
    override_settings(OF_THE_PROJECT=1, THREADS_NUM=3)
    assert (settings.OF_THE_PROJECT, settings.THREADS_NUM) == (1, 3)
