"""Secrets that sign: set, and not known to the world."""

import os
from typing import Any

import pytest

from tests.checks.test_shapes import HOOKLESS, SECRET, SessionMiddleware, faults_of
from torngas_aio.checks import check_settings, fill_secrets
from torngas_aio.checks.signing import RUN_SECRET_NAME, is_well_known
from torngas_aio.settings_manager import Settings


class TestSecrets:
    @pytest.mark.parametrize(
        "secret",
        ["secret", b"secret", "CHANGE-ME-please", "your_secret_here", "fLjUfxqXtfNoIldA0A0J", "django-insecure-x"],
    )
    def test_well_known_ones_are_refused(self, secret: str | bytes) -> None:
        """Values of documentation and placeholders, with DEBUG off only."""
        assert is_well_known(secret)
        assert len(faults_of(TORNADO_CONF={"cookie_secret": secret})) == 1
        assert faults_of(TORNADO_CONF={"cookie_secret": secret}, DEBUG=True) == []

    def test_random_ones_pass(self) -> None:
        """So does Tornado's dict of key versions, unless one of them is bad."""
        assert faults_of(TORNADO_CONF={"cookie_secret": {0: SECRET, 1: SECRET}}) == []
        assert len(faults_of(TORNADO_CONF={"cookie_secret": {0: SECRET, 1: "secret"}})) == 1
        assert "is missing" in faults_of(TORNADO_CONF={"cookie_secret": {}})[0]

    @pytest.mark.parametrize("debug", [False, True])
    @pytest.mark.parametrize("version", [2, "1", [], -1])
    def test_the_version_that_signs_must_be_there(self, version: object, debug: bool) -> None:
        """Every login would fail; with DEBUG on, too."""
        secrets = {0: SECRET, 1: SECRET}
        found = faults_of(TORNADO_CONF={"cookie_secret": secrets, "key_version": version}, DEBUG=debug)
        assert found == ["TORNADO_CONF['key_version']: cookie_secret has no such version. Known are 0, 1."]
        assert faults_of(TORNADO_CONF={"cookie_secret": secrets, "key_version": 1}, DEBUG=debug) == []

    def test_no_secret_is_ever_shown(self) -> None:
        """Not even one of the wrong type."""
        hidden = 918_273_645
        found = faults_of(
            TORNADO_CONF={"cookie_secret": hidden},
            DATABASE_CONNECTION={"d": {"connections": [{"ROLE": "master", "DRIVER": "x", "PASSWD": hidden}]}},
        )
        assert len(found) == 2
        assert not any(str(hidden) in fault for fault in found)

    def test_missing_ones_are_filled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same for every process of a run, others for the next run; given ones stay."""
        monkeypatch.delenv(RUN_SECRET_NAME, raising=False)
        monkeypatch.setenv(RUN_SECRET_NAME, "first")
        settings = Settings()
        settings.configure(MIDDLEWARE_CLASSES=[SessionMiddleware], CACHES={"default": {"BACKEND": dict}})
        assert fill_secrets(settings) == ["TORNADO_CONF['cookie_secret']", "SESSION['secret_key']"]
        first = settings.TORNADO_CONF.cookie_secret
        assert first != settings.SESSION.secret_key
        assert settings.SESSION.session_name == "__TORNADOSSID"
        assert check_settings(settings) == []
        settings.configure(MIDDLEWARE_CLASSES=[SessionMiddleware])
        fill_secrets(settings)
        assert settings.TORNADO_CONF.cookie_secret == first
        monkeypatch.delenv(RUN_SECRET_NAME)
        settings.configure(TORNADO_CONF={"cookie_secret": None}, SESSION={"secret_key": SECRET})
        assert fill_secrets(settings) == ["TORNADO_CONF['cookie_secret']"]
        assert settings.TORNADO_CONF.cookie_secret != first
        assert settings.SESSION.secret_key == SECRET
        assert os.environ[RUN_SECRET_NAME] != "first"

    def test_nothing_is_filled_where_nothing_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No random secret is left in the environment either."""
        monkeypatch.delenv(RUN_SECRET_NAME, raising=False)
        settings = Settings()
        settings.configure(**HOOKLESS)
        assert fill_secrets(settings) == []
        assert RUN_SECRET_NAME not in os.environ


@pytest.mark.parametrize(
    "secret",
    [
        "k7Jq2mZx9Lw4Rt6Yb1Nc8Vd3Fg5Hs0P",  # 31 characters
        b"short",
        "a" * 64,
        b"\0" * 64,
        {1: "k7Jq2mZx9Lw4Rt6Yb1Nc8Vd3Fg5Hs0Pa", 2: "short"},
        {1: "b" * 40},
    ],
)
@pytest.mark.parametrize("name", ["TORNADO_CONF", "SESSION"])
def test_a_weak_secret_is_a_fault_while_debug_is_off(name: str, secret: Any) -> None:
    if name == "SESSION" and not isinstance(secret, str):
        return
    key = {"TORNADO_CONF": "cookie_secret", "SESSION": "secret_key"}[name]
    values = {name: {key: secret}, "MIDDLEWARE_CLASSES": [SessionMiddleware]}
    path = f"{name}[{key!r}]"
    message = f"{path} is shorter than 32 characters or one character repeated, and DEBUG is off"
    assert [fault for fault in faults_of(**values) if fault.startswith(message)]
    assert not [fault for fault in faults_of(**values, DEBUG=True) if fault.startswith(path)]
