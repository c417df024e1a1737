"""Rules that mount: their order, and what cannot be mounted."""

from typing import Any

import pytest

from tests.mounts.conftest import OpenClient, Site
from torngas_aio import WebHandler, mount
from torngas_aio.exception import UrlError


async def test_a_rule_that_stands_before_wins(open_client: OpenClient, site: Site) -> None:
    class Own(WebHandler):
        def get(self) -> None:
            self.write("own")

    client = await open_client([("/admin/own", Own), mount("/admin", site, name="admin")])
    assert (await client.get("/admin/own")).text == "own"


@pytest.mark.parametrize(
    ("prefix", "application", "text"),
    [
        ("admin", Site(), "slash"),
        ("/admin", 7, "neither"),
        ("/admin", Site, "neither"),
        ("/admin", lambda one: None, "neither"),
    ],
)
def test_what_cannot_be_mounted_is_refused(prefix: str, application: Any, text: str) -> None:
    with pytest.raises(UrlError, match=text):
        mount(prefix, application)
