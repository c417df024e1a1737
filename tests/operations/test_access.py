"""Who may see an operator's pages."""

from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from torngas_aio.operations.access import is_own_page, may_see_details


def asked_from(address: Any, host: str) -> Any:
    context = SimpleNamespace(address=address, remote_ip="127.0.0.1")
    return SimpleNamespace(connection=SimpleNamespace(context=context), headers=HTTPHeaders({"Host": host}))


@pytest.mark.parametrize("host", ["localhost:8000", "blog.localhost", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
@pytest.mark.parametrize(
    "address", [("127.0.0.1", 1), ("127.8.9.1", 1), ("::1", 1, 0, 0), ("::ffff:127.0.0.1", 1, 0, 0)], ids=str
)
def test_this_machine_may_see_it(address: Any, host: str) -> None:
    assert is_own_page(asked_from(address, host))


@pytest.mark.parametrize("address", [("10.0.0.5", 1), ("192.168.1.2", 1), ("fe80::1%eth0", 1, 0, 2), "", None], ids=str)
def test_the_peers_own_address_counts_whatever_a_proxy_says(address: Any) -> None:
    assert not is_own_page(asked_from(address, "localhost"))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_sees_nothing_through_a_browser_of_this_machine(site: str) -> None:
    asked = asked_from(("127.0.0.1", 1), "localhost")
    asked.remote_ip = "127.0.0.1"
    assert is_own_page(asked)
    assert may_see_details(asked)
    asked.headers["Sec-Fetch-Site"] = site
    assert not is_own_page(asked)
    assert not may_see_details(asked)
