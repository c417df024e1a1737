"""check --deploy: what a site that other machines reach should change."""

import sys
from pathlib import Path

import pytest

from tests.cli.test_routes import Capture
from torngas_aio.cli import main


class TestDeployment:
    SECURE = (
        "DEBUG = False\nTRUSTED_PROXY_HEADERS = ()\nALLOWED_HOSTS = ('example.com',)\n"
        "SECURITY_HEADERS = {'Strict-Transport-Security': 'max-age=31536000'}\n"
        "SESSION = {'secure': True, 'secret_key': 'k-long-and-random-secret-of-this-test'}\n"
        "TORNADO_CONF = {'cookie_secret': 'a-long-and-random-secret-of-this-test', 'xsrf_cookies': True,"
        " 'xsrf_cookie_kwargs': {'secure': True}}\n"
        "MIDDLEWARE_CLASSES = ('torngas_aio.middleware.security.AllowedHostsMiddleware',"
        " 'torngas_aio.middleware.security.SecurityHeadersMiddleware',"
        " 'torngas_aio.middleware.session.SessionMiddleware')\n"
    )

    def check(self, directory: Path, capsys: Capture, settings: str, *words: str) -> str:
        (directory / "conf.py").write_text(self.SECURE + settings)
        sys.modules.pop("conf", None)
        assert main(["check", "--settings=conf", *words]) == 0
        return capsys.readouterr().out

    def test_a_site_in_order_has_no_cautions(self, directory: Path, capsys: Capture) -> None:
        assert self.check(directory, capsys, "", "--deploy") == "conf: no faults, 0 cautions, 0 routes.\n"

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            ("DEBUG = True", "DEBUG is on"),
            ("SESSION = {**SESSION, 'secure': False}", "SESSION['secure'] is False"),
            ("SESSION = {**SESSION, 'httponly': False}", "SESSION['httponly'] is False"),
            ("TORNADO_CONF = {**TORNADO_CONF, 'xsrf_cookies': False}", "TORNADO_CONF['xsrf_cookies'] is off"),
            ("TORNADO_CONF = {**TORNADO_CONF, 'xsrf_cookie_kwargs': {}}", "TORNADO_CONF['xsrf_cookie_kwargs'] lacks"),
            ("SECURITY_HEADERS = {}", "No Strict-Transport-Security header"),
            ("SECURITY_HEADERS = {'strict-transport-security': None}", "No Strict-Transport-Security header"),
            (
                "SECURITY_HEADERS = {'strict-transport-security': 'max-age=0'}",
                "SECURITY_HEADERS['Strict-Transport-Security'] = ",
            ),
            ("MIDDLEWARE_CLASSES = MIDDLEWARE_CLASSES[:1]", "No Strict-Transport-Security header"),
            ("MIDDLEWARE_CLASSES = MIDDLEWARE_CLASSES[1:]", "Any Host header is answered"),
            ("ALLOWED_HOSTS = ('*',)", "Any Host header is answered"),
        ],
    )
    def test_what_is_fit_for_development_only_is_told(
        self, directory: Path, capsys: Capture, settings: str, told: str
    ) -> None:
        """Only when it is asked for, one caution each."""
        out = self.check(directory, capsys, settings, "--deploy")
        assert f"caution: {told}" in out
        assert "1 caution," in out
        assert "0 cautions," in self.check(directory, capsys, settings)
