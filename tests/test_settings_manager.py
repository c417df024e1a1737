"""What `settings` promises to whoever reads, loads, configures or overrides it."""

import asyncio
import contextlib
import copy
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from torngas_aio import global_settings
from torngas_aio.exception import ConfigError, UnknownSetting
from torngas_aio.settings_manager import ENVIRONMENT_NAME, Section, Settings, SettingsOverride, load_settings


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(ENVIRONMENT_NAME, raising=False)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("conf_"):
            del sys.modules[name]


class TestReading:
    def test_every_default_is_an_attribute(self, settings: Settings) -> None:
        """Each upper-case name of global_settings can be read."""
        for name, value in vars(global_settings).items():
            if name.isupper():
                assert getattr(settings, name) == value

    def test_every_setting_of_torngas_1_8_exists(self, settings: Settings) -> None:
        """And those that this package had first; docs/migration.md says what has changed in them."""
        names = """DEBUG XHEADERS TORNADO_CONF MIDDLEWARE_CLASSES INSTALLED_APPS COMMON_MODULES ROUTE_MODULES CACHES
            TRANSLATIONS TRANSLATIONS_CONF WHITELIST LOGGING_DIR LOGGING IPV4_ONLY SESSION TEMPLATE_CONFIG
            DATABASE_CONNECTION PING_DB PING_CONN_COUNT SQLALCHEMY_CONFIGURATION THREADS_NUM TRUSTED_PROXIES
            REQUEST_TIMEOUT STICK_TO_MASTER ATOMIC_REQUESTS ETAG"""
        assert [name for name in names.split() if name not in settings] == []

    def test_dicts_are_read_as_attributes_and_stay_dicts(self, settings: Settings) -> None:
        """settings.CACHES.default_redis['LOCATION'] and settings.SESSION.session_name both work."""
        assert settings.SESSION.session_name == "__TORNADOSSID"
        assert settings.CACHES.default_redis["LOCATION"] == "127.0.0.1:6379"
        assert isinstance(settings.CACHES.default_redis.OPTIONS, dict)
        assert "DB" in settings.CACHES["default_redis"].OPTIONS

    def test_dicts_inside_lists_are_read_as_attributes(self, settings: Settings) -> None:
        """A list of connections holds sections, and stays a list."""
        settings.configure(DATABASE_CONNECTION={"default": {"connections": [{"ROLE": "master"}]}})
        assert settings.DATABASE_CONNECTION.default.connections[0].ROLE == "master"
        assert isinstance(settings.DATABASE_CONNECTION.default.connections, list)

    def test_an_unknown_name_is_an_error_with_a_hint(self, settings: Settings) -> None:
        """The message is that of torngas 1.8; a near miss is named."""
        with pytest.raises(ConfigError) as caught:
            _ = settings.MIDDLEWARE_CLASES
        assert str(caught.value) == 'settings "MIDDLEWARE_CLASES" not exist! Did you mean "MIDDLEWARE_CLASSES"?'
        with pytest.raises(ConfigError, match=r'^settings "QQQQ" not exist!$'):
            _ = settings.QQQQ

    def test_an_unknown_key_names_its_whole_path(self, settings: Settings) -> None:
        """settings.SESSION.session_nam says where it was looked for."""
        with pytest.raises(UnknownSetting, match=r'settings "SESSION.session_nam" not exist! .*"SESSION.session_name"'):
            _ = settings.SESSION.session_nam
        with pytest.raises(UnknownSetting, match=r"CACHES\.default\.OPTIONS\.X"):
            _ = settings.CACHES.default.OPTIONS.X

    def test_getattr_with_a_default_and_hasattr_work(self, settings: Settings) -> None:
        """An unknown setting is an AttributeError too."""
        assert getattr(settings, "NOT_THERE", 7) == 7
        assert not hasattr(settings, "NOT_THERE")
        assert not hasattr(settings.SESSION, "not_there")

    def test_lower_case_names_are_no_settings(self, settings: Settings) -> None:
        """A lower-case or private name is a plain AttributeError, not a ConfigError."""
        with pytest.raises(AttributeError, match="upper-case") as caught:
            _ = settings.debug
        assert not isinstance(caught.value, ConfigError)

    def test_settings_cannot_be_assigned(self, settings: Settings) -> None:
        """The message says what to do instead."""
        with pytest.raises(AttributeError, match=r"settings\.override"):
            settings.DEBUG = True

    def test_names_are_listed(self, settings: Settings) -> None:
        """dir, iteration and repr know the settings."""
        assert "CACHES" in dir(settings)
        assert "configure" in dir(settings)
        assert set(settings) == {name for name in vars(global_settings) if name.isupper()}
        assert repr(settings) == "<Settings of built-in defaults>"
        assert settings.as_dict()["DEBUG"] is False

    def test_sections_can_be_copied_and_pickled(self, settings: Settings) -> None:
        """Both give an equal section that still answers attributes."""
        for twin in (copy.deepcopy(settings.CACHES), pickle.loads(pickle.dumps(settings.CACHES))):
            assert twin == settings.CACHES
            assert isinstance(twin, Section)
            assert twin.dummy.BACKEND == "torngas_aio.cache.backends.dummy.DummyCache"

    def test_a_plain_read_is_an_instance_attribute(self, settings: Settings) -> None:
        """Once loaded, a name that nobody overrides is found without our code: the fast path is there."""
        assert settings.DEBUG is False
        assert "DEBUG" in vars(settings)
        with settings.override(DEBUG=True):
            assert "DEBUG" not in vars(settings)
        assert "DEBUG" in vars(settings)


class TestLoading:
    def test_a_module_overrides_by_name(self, project: Path, settings: Settings) -> None:
        """Upper-case names of the module win; own names are added; lower-case and private ones are not."""
        (project / "conf_a.py").write_text("import os\nDEBUG = True\nPROJECT_PATH = '/x'\n_HIDDEN = 1\nlower = 2\n")
        settings.load("conf_a")
        assert settings.DEBUG is True
        assert settings.PROJECT_PATH == "/x"
        assert settings.source == "conf_a"
        assert "_HIDDEN" not in settings
        assert "lower" not in settings

    def test_the_environment_names_the_module(
        self, project: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """TORNGAS_APP_SETTINGS is used when nothing else is named; the first read loads it."""
        (project / "conf_env.py").write_text("THREADS_NUM = 77\n")
        (project / "conf_arg.py").write_text("THREADS_NUM = 78\n")
        monkeypatch.setenv(ENVIRONMENT_NAME, "conf_env")
        assert not settings.is_loaded
        assert settings.THREADS_NUM == 77
        settings.load("conf_arg")
        assert settings.THREADS_NUM == 78

    @pytest.mark.parametrize("name", ["SESSION", "TEMPLATE_CONFIG", "TRANSLATIONS_CONF", "TORNADO_CONF"])
    def test_some_settings_are_completed_key_by_key(self, project: Path, settings: Settings, name: str) -> None:
        """A key that the project does not give keeps its default."""
        (project / f"conf_{name.lower()}.py").write_text(f"{name} = {{'extra': 1}}\n")
        settings.load(f"conf_{name.lower()}")
        assert getattr(settings, name) == {**getattr(global_settings, name), "extra": 1}

    @pytest.mark.parametrize("name", ["CACHES", "DATABASE_CONNECTION", "ROUTE_MODULES", "SQLALCHEMY_CONFIGURATION"])
    def test_others_are_replaced_whole(self, project: Path, settings: Settings, name: str) -> None:
        """No default alias survives beside the project's own."""
        (project / f"conf_whole_{name.lower()}.py").write_text(f"{name} = {{'mine': {{}}}}\n")
        settings.load(f"conf_whole_{name.lower()}")
        assert getattr(settings, name) == {"mine": {}}

    def test_a_missing_module_is_an_error(self, project: Path) -> None:
        """Never a warning and silent defaults."""
        with pytest.raises(ConfigError, match=r"Settings module 'conf_no\.where': no module 'conf_no' on sys.path"):
            load_settings("conf_no.where")

    def test_a_module_that_imports_something_missing_says_so(self, project: Path) -> None:
        """The missing module is named, not the settings module."""
        (project / "conf_imports.py").write_text("import conf_absent_library\n")
        with pytest.raises(ConfigError, match="'conf_imports' could not be imported: No module named 'conf_absent"):
            load_settings("conf_imports")

    def test_a_module_that_fails_tells_why_and_where(self, project: Path) -> None:
        """Cause, file and line are in the message."""
        (project / "conf_fails.py").write_text("X = 1\nY = 1 / 0\n")
        with pytest.raises(ConfigError, match=r"conf_fails.py:2: .*: ZeroDivisionError: division by zero$"):
            load_settings("conf_fails")
        (project / "conf_syntax.py").write_text("X = = 1\n")
        with pytest.raises(ConfigError, match=r"SyntaxError: invalid syntax \(conf_syntax.py, line 1\)"):
            load_settings("conf_syntax")

    def test_a_failed_load_keeps_what_was_there(self, project: Path, settings: Settings) -> None:
        """The settings in use are not half replaced."""
        settings.configure(THREADS_NUM=5)
        with pytest.raises(ConfigError):
            settings.load("conf_nothing_here")
        assert settings.THREADS_NUM == 5

    def test_defaults_are_never_shared(self, settings: Settings) -> None:
        """Changing a section changes nothing of the defaults, nor of another load."""
        settings.configure()
        settings.SESSION["expires"] = 99
        settings.CACHES.default.OPTIONS["MAX_ENTRIES"] = 1
        settings.configure()
        assert settings.SESSION.expires == 0
        assert settings.CACHES.default.OPTIONS.MAX_ENTRIES == 10_000

    def test_a_completed_setting_of_the_wrong_type_is_kept_for_the_checks(self, settings: Settings) -> None:
        """Merging does not hide it."""
        settings.configure(SESSION="nonsense")
        assert settings.SESSION == "nonsense"

    def test_reset_loads_anew(self, project: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        """After reset the next read chooses its module again."""
        settings.configure(THREADS_NUM=5)
        (project / "conf_again.py").write_text("THREADS_NUM = 6\n")
        monkeypatch.setenv(ENVIRONMENT_NAME, "conf_again")
        settings.reset()
        assert settings.THREADS_NUM == 6
        assert repr(settings) == "<Settings of conf_again>"

    def test_configure_starts_from_the_defaults(self, settings: Settings) -> None:
        """A second call knows nothing of the first."""
        settings.configure(THREADS_NUM=5, MINE=1)
        settings.configure(DEBUG=True)
        assert settings.THREADS_NUM == (os.cpu_count() or 1)
        assert "MINE" not in settings


class TestOverride:
    def test_it_holds_inside_the_block_only(self, settings: Settings) -> None:
        """New names vanish, old ones return, also after an error."""
        with contextlib.suppress(ZeroDivisionError), settings.override(DEBUG=True, NEW_NAME=1):
            assert settings.DEBUG is True
            assert settings.NEW_NAME == 1
            assert "NEW_NAME" in settings
            assert settings.as_dict()["NEW_NAME"] == 1
            _ = 1 / 0
        assert settings.DEBUG is False
        assert "NEW_NAME" not in settings

    def test_the_inner_one_wins(self, settings: Settings) -> None:
        """Overrides nest, and sections are completed from what the outer one made."""
        with settings.override(SESSION={"expires": 5}):
            with settings.override(SESSION={"session_name": "inner"}):
                assert (settings.SESSION.expires, settings.SESSION.session_name) == (5, "inner")
                assert settings.SESSION.cookie_path == "/"
            assert settings.SESSION.session_name == "__TORNADOSSID"
            assert settings.SESSION.expires == 5
        assert settings.SESSION.expires == 0

    async def test_concurrent_tasks_see_their_own(self, settings: Settings) -> None:
        """Two tasks override the same name at the same time; a third overrides nothing."""
        barrier = asyncio.Barrier(3)

        async def reader(value: int | None) -> list[Any]:
            with settings.override(**({} if value is None else {"THREADS_NUM": value})):
                seen = [settings.THREADS_NUM]
                await barrier.wait()
                seen.append(settings.THREADS_NUM)
                seen.append(await asyncio.create_task(child()))
                await barrier.wait()
                return seen

        async def child() -> Any:
            return settings.THREADS_NUM

        default = os.cpu_count() or 1
        results = list(await asyncio.gather(reader(101), reader(102), reader(None)))
        assert results == [[101] * 3, [102] * 3, [default] * 3]
        assert vars(settings)["THREADS_NUM"] == default

    async def test_worker_threads_of_a_task_see_it(self, settings: Settings) -> None:
        """to_thread copies the context, a bare thread starts outside it."""
        seen: list[Any] = []
        with settings.override(THREADS_NUM=103):
            assert await asyncio.to_thread(lambda: settings.THREADS_NUM) == 103
            thread = threading.Thread(target=lambda: seen.append(settings.THREADS_NUM))
            thread.start()
            thread.join()
        assert seen == [os.cpu_count() or 1]

    async def test_it_ends_for_a_task_that_outlives_it(self, settings: Settings) -> None:
        """A leftover task reads the settings themselves, also while another override of the name runs."""
        go = asyncio.Event()

        async def leftover() -> Any:
            await go.wait()
            return settings.THREADS_NUM

        with settings.override(THREADS_NUM=104):
            task = asyncio.create_task(leftover())
        with settings.override(THREADS_NUM=105):
            go.set()
            assert await task == (os.cpu_count() or 1)

    async def test_it_may_be_left_in_another_context(self, settings: Settings) -> None:
        """A fixture entered in one task and left in another leaves nothing behind."""
        override = settings.override(THREADS_NUM=106)

        async def enter() -> SettingsOverride:
            return override.__enter__()

        await asyncio.create_task(enter())
        override.__exit__(None, None, None)
        assert settings.THREADS_NUM == (os.cpu_count() or 1)
        assert "THREADS_NUM" in vars(settings)

    def test_the_same_one_is_not_entered_twice(self, settings: Settings) -> None:
        """A second entry would lose the first one's way back."""
        override = settings.override(DEBUG=True)
        with override, pytest.raises(RuntimeError, match="already in force"):
            override.__enter__()
        with override:
            assert settings.DEBUG is True

    def test_lower_case_names_are_refused(self, settings: Settings) -> None:
        """A keyword that is no setting is a ConfigError."""
        with pytest.raises(ConfigError, match="upper-case"):
            settings.override(debug=True)

    def test_a_load_inside_keeps_the_override(self, settings: Settings) -> None:
        """configure within an override changes what lies below it."""
        with settings.override(DEBUG=True):
            settings.configure(DEBUG=False, THREADS_NUM=9)
            assert settings.DEBUG is True
            settings.reset()
            assert settings.DEBUG is True
            settings.configure(THREADS_NUM=9)
        assert settings.DEBUG is False
        assert settings.THREADS_NUM == 9
