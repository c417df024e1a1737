"""check --deploy: what a site that other machines reach should change."""

import sys
from pathlib import Path

import pytest

from tests.cli.test_routes import Capture
from torngas_aio.checks.deployment import deploy_file_cautions
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

    def test_forged_forms_are_refused_by_origin_as_well(self, directory: Path, capsys: Capture) -> None:
        by_origin = "TORNADO_CONF = {**TORNADO_CONF, 'xsrf_cookies': False, 'cross_origin_protection': True}"
        assert "0 cautions" in self.check(directory, capsys, by_origin, "--deploy")

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


def file_cautions(folder: Path, name: str, text: str) -> list[str]:
    (folder / name).write_text(text)
    found = deploy_file_cautions(folder, graceful=30.0, shutdown=60.0, request_timeout=60.0, max_body=1024)
    return [caution for caution in found if "Timeout" in caution or "timeout" in caution]


@pytest.mark.parametrize(
    ("lines", "is_short"),
    [
        ("TimeoutStopSec=90", True),
        ("TimeoutStopSec = 90s", True),
        ("TimeoutStopSec=1min 30s", True),
        ("TimeoutStopSec=90 seconds", True),
        ("TimeoutStopSec=90000ms", True),
        ("TimeoutSec=20", True),
        ("TimeoutStopSec=100\nTimeoutSec=20", True),
        ("TimeoutSec=20\nTimeoutStopSec=100", False),
        ("TimeoutStopSec=1min 31s", False),
        ("TimeoutStopSec=2min", False),
        ("TimeoutStopSec=91.5", False),
        ("TimeoutStopSec=infinity", False),
        ("TimeoutSec=20\nTimeoutStopSec=infinity", False),
        ("TimeoutStopSec=0", False),
        ("#TimeoutStopSec=5", False),
        ("TimeoutStartSec=5", False),
    ],
)
def test_the_time_of_a_stop_is_read_as_systemd_reads_it(tmp_path: Path, lines: str, is_short: bool) -> None:
    assert bool(file_cautions(tmp_path, "site.service", f"[Service]\n{lines}\n")) is is_short


@pytest.mark.parametrize(
    ("lines", "is_short"),
    [
        ("proxy_read_timeout 60;", True),
        ("proxy_read_timeout 1m;", True),
        ("proxy_read_timeout 60000ms;", True),
        ("location /ws { proxy_read_timeout 1h; }\nlocation / { proxy_read_timeout 5s; }", True),
        ("proxy_read_timeout 1m1s;", False),
        ("proxy_read_timeout 1m 1s;", False),
        ("proxy_read_timeout 1d;", False),
        ("", False),
    ],
)
def test_the_time_of_an_answer_is_read_as_nginx_reads_it(tmp_path: Path, lines: str, is_short: bool) -> None:
    assert bool(file_cautions(tmp_path, "nginx.conf", f"{lines}\nclient_max_body_size 1m;\n")) is is_short
