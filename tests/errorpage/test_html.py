"""The debug page as HTML: whole without its style and script, and nothing else runs on it."""

import re
from types import SimpleNamespace

import pytest

from tests.errorpage.test_render import EVIL, Reader, debug, handler, raised, read
from torngas_aio.errorpage import render_error
from torngas_aio.errorpage.html import SCRIPT, STYLE


def test_nothing_on_the_page_is_run_or_loaded_but_its_own() -> None:
    given = {
        "handler": handler(f"/{EVIL}?q={EVIL}", **{"User-Agent": EVIL, "Cookie": f"{EVIL}=1"}),
        "reason": EVIL,
        "exc_info": raised(),
        "failed_at": EVIL,
        "pipeline_text": [EVIL],
        "routes_tried": [SimpleNamespace(pattern=EVIL, name=EVIL, handler_class=Reader)],
        "settings_view": {EVIL: EVIL},
    }
    page = read(debug(**given))
    assert page.scripts == [SCRIPT]
    assert all(link.startswith("#") for link in page.links)
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_its_content_security_policy_allows_just_its_own_style_and_script() -> None:
    policy = debug().headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert f"<style>{STYLE}</style>" in debug().body.decode()


def test_the_page_as_text_can_be_copied() -> None:
    page = debug(exc_info=raised()).body.decode()
    assert '<button id="copy"' in page
    assert '<textarea id="text" readonly' in page


@pytest.mark.parametrize("status", [404, 500, 503])
def test_the_short_page_needs_no_style_and_no_script(status: int) -> None:
    page = render_error(handler=handler(), status=status, reason="R & R", accept="text/html").body.decode()
    assert not re.search(r"<(style|script|link|img)|style=|\son\w+=", page)
    assert "R &amp; R" in page
