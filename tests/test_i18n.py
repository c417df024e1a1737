"""Catalogues, the visitor's language, texts made later."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tornado import locale

from torngas_aio import _json, i18n
from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.handler import WebHandler
from torngas_aio.i18n import (
    LazyText,
    gettext,
    lazy_gettext,
    lazy_pgettext,
    load_translations,
    ngettext,
    pgettext,
    use_locale,
)
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


@pytest.fixture(autouse=True)
def tornado_s_catalogues_are_put_back() -> Iterator[None]:
    yield
    locale._translations, locale._use_gettext = {}, False
    locale._supported_locales = frozenset({"en_US"})
    locale.Locale._cache.clear()
    locale.set_default_locale("en_US")


def write_csv(folder: Path, **texts: str) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    for code, text in texts.items():
        (folder / f"{code}.csv").write_text(text, encoding="utf-8")
    return {"translations_dir": str(folder), "locale_default": "en_US", "use_accept_language": True}


def write_mo(file: Path, texts: Mapping[str, str]) -> None:
    """Write a compiled catalogue: a header, two tables of lengths and offsets, the texts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = {"": "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n", **texts}
    pairs = sorted((key.encode(), value.encode()) for key, value in whole.items())
    keys = b"".join(key + b"\0" for key, _ in pairs)
    values = b"".join(value + b"\0" for _, value in pairs)
    start = 28 + 16 * len(pairs)
    tables: list[list[int]] = [[], []]
    for column, begin in ((0, start), (1, start + len(keys))):
        at = begin
        for pair in pairs:
            tables[column] += [len(pair[column]), at]
            at += len(pair[column]) + 1
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    file.write_bytes(header + b"".join(struct.pack(f"<{len(t)}I", *t) for t in tables) + keys + values)


@pytest.fixture
def german(tmp_path: Path) -> dict[str, Any]:
    conf = write_csv(
        tmp_path / "translations",
        de_DE='"hello","Hallo"\n"%(n)d posts","%(n)d Beiträge","plural"\n"%(n)d post","%(n)d Beitrag","singular"\n',
        zh_CN='"hello","你好"\n',
    )
    load_translations(conf)
    return conf


def test_csv_catalogues_are_loaded(german: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert load_translations(german) == {"de_DE", "zh_CN", "en_US"}
    with use_locale("de_DE"):
        assert gettext("hello") == "Hallo"
        assert ngettext("%(n)d post", "%(n)d posts", 1) % {"n": 1} == "1 Beitrag"
        assert ngettext("%(n)d post", "%(n)d posts", 2) % {"n": 2} == "2 Beiträge"
        assert gettext("unknown") == "unknown"
        assert pgettext("menu", "hello") == "Hallo"
        assert i18n.pgettext_of(i18n.current_locale())("menu", "%(n)d post", "%(n)d posts", 2) == "%(n)d Beiträge"
    assert gettext("hello") == "hello"
    assert caplog.text == ""  # Tornado warns of each text with a context


def test_gettext_catalogues_are_loaded_with_contexts_and_plurals(tmp_path: Path) -> None:
    texts = {"hello": "Hallo", "menu\x04open": "Öffnen", "post\0posts": "Beitrag\0Beiträge"}
    write_mo(tmp_path / "de_DE" / "LC_MESSAGES" / "blog.mo", texts)
    assert "de_DE" in load_translations({"translations_dir": str(tmp_path)})
    with use_locale("de_DE"):
        assert gettext("hello") == "Hallo"
        assert pgettext("menu", "open") == "Öffnen"
        assert ngettext("post", "posts", 2) == "Beiträge"


def test_one_of_several_domains_must_be_chosen(tmp_path: Path) -> None:
    for domain in ("blog", "shop"):
        write_mo(tmp_path / "de_DE" / "LC_MESSAGES" / f"{domain}.mo", {"hello": f"Hallo {domain}"})
    with pytest.raises(ConfigError, match=r"gettext_domain.*blog, shop"):
        load_translations({"translations_dir": str(tmp_path)})
    load_translations({"translations_dir": str(tmp_path), "gettext_domain": "shop"})
    with use_locale("de_DE"):
        assert gettext("hello") == "Hallo shop"


def test_both_formats_in_one_place_want_a_choice(tmp_path: Path) -> None:
    conf = write_csv(tmp_path, de_DE='"hello","Hallo CSV"\n')
    write_mo(tmp_path / "de_DE" / "LC_MESSAGES" / "blog.mo", {"hello": "Hallo gettext"})
    with pytest.raises(ConfigError, match="set TRANSLATIONS_CONF\\['format'\\]"):
        load_translations(conf)
    load_translations({**conf, "format": "csv"})
    with use_locale("de_DE"):
        assert gettext("hello") == "Hallo CSV"


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({}, "no such directory"),
        ({"translations_dir": "no/such"}, "no such directory"),
        ({"translations_dir": "."}, "holds no CSV or gettext catalogue"),
        ({"translations_dir": ".", "format": "csv"}, "holds no csv catalogue"),
        ({"translations_dir": ".", "format": "po"}, "write 'csv' or 'gettext'"),
    ],
)
def test_catalogues_that_are_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conf: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_translations(conf)


def visitor(**given: Any) -> Any:
    return SimpleNamespace(get_cookie=given.get("cookies", {}).get, current_user=given.get("user"))


@pytest.mark.parametrize(
    ("conf", "handler", "code"),
    [
        ({}, visitor(), None),
        ({"use_accept_language": False, "locale_default": "de_DE"}, visitor(), "de_DE"),
        ({"cookie_name": "lang"}, visitor(cookies={"lang": "zh_CN"}), "zh_CN"),
        ({"cookie_name": "lang"}, visitor(cookies={"lang": "../../etc"}), None),
        ({"cookie_name": "lang", "use_accept_language": False}, visitor(), "en_US"),
        ({"user_attribute": "language"}, visitor(user=SimpleNamespace(language="de_DE")), "de_DE"),
        ({"user_attribute": "language"}, visitor(user={"language": "zh_CN"}), "zh_CN"),
        ({"user_attribute": "language"}, visitor(user={"language": 3}), None),
        ({"user_attribute": "language"}, visitor(), None),
        ({"cookie_name": "lang"}, visitor(cookies={"lang": "de"}), "de_DE"),
        ({"cookie_name": "lang"}, visitor(cookies={"lang": "de-at"}), "de_DE"),
        ({"cookie_name": "lang"}, visitor(cookies={"lang": "zh-Hans-CN"}), "zh_CN"),
        ({"user_attribute": "language"}, visitor(user={"language": "zh"}), "zh_CN"),
        (
            {"cookie_name": "lang", "user_attribute": "language"},
            visitor(cookies={"lang": "zh_CN"}, user={"language": "de_DE"}),
            "zh_CN",
        ),
    ],
)
def test_who_reads_what(german: dict[str, Any], conf: dict[str, Any], handler: Any, code: str | None) -> None:
    found = i18n.user_locale(handler, conf)
    assert (None if found is None else found.code) == code


@pytest.mark.parametrize(
    ("languages", "there", "code"),
    [
        ("de", "de_DE", "de_DE"),
        ("de-AT", "de_DE", "de_DE"),
        ("DE-at", "de_DE", "de_DE"),
        ("de-AT", "de de_DE", "de"),
        ("de-CH", "de_AT de_CH de_DE", "de_CH"),
        ("zh", "zh_CN zh_TW", "zh_CN"),
        ("zh-Hans-CN", "zh_CN zh_TW", "zh_CN"),
        ("zh-Hant", "zh_CN zh_TW", "zh_TW"),
        ("zh-HK", "zh zh_CN zh_TW", "zh_TW"),
        ("zh-Hant-TW", "zh_CN", "zh_CN"),
        ("pt", "pt_BR pt_PT", "pt_BR"),
        ("pt-AO", "pt_PT", "pt_PT"),
        ("sv", "sv_FI sv_SE", "sv_SE"),
        ("fr-CH, fr;q=0.9, de;q=0.8", "de_DE", "de_DE"),
        ("de;q=0.3, pt;q=0.7", "de_DE pt_BR", "pt_BR"),
        ("de;q=0, pt;q=0.1", "de_DE pt_BR", "pt_BR"),
        ("de;q=nan, *, ;;, pt ; q=0.1", "de_DE pt_BR", "pt_BR"),
        ("fr", "de_DE", None),
        ("deu", "de_DE", None),
        ("*", "de_DE", None),
        ("", "de_DE", None),
        ("x" * 100_000, "de_DE", None),
    ],
)
def test_the_nearest_of_the_languages_is_found(tmp_path: Path, languages: str, there: str, code: str | None) -> None:
    load_translations(write_csv(tmp_path / "translations", **dict.fromkeys(there.split(), '"hello","x"\n')))
    found = i18n.find_locale(languages)
    assert (None if found is None else found.code) == code


def test_lazy_texts_speak_the_language_of_the_moment(german: dict[str, Any]) -> None:
    text = lazy_gettext("hello")
    assert str(text) == "hello"
    with use_locale("de_DE"):
        assert str(text) == "Hallo"
        assert lazy_pgettext("menu", "hello") == "Hallo"
    assert str(text) == "hello"


def test_a_lazy_text_can_be_used_as_a_text() -> None:
    text, other = LazyText(lambda: "a%s"), LazyText(lambda: "b")
    assert text % 1 == "a1"
    assert text + "!" == "a%s!"
    assert "!" + text == "!a%s"
    assert text + other == "a%sb"
    assert f"{text:>4}" == " a%s"
    assert (text == "a%s", text == other, text < other, len(text), bool(LazyText(str))) == (True, False, True, 3, False)
    assert ("%" in text, text[0], list(other), hash(other) == hash("b")) == (True, "a", ["b"], True)
    assert text.upper() == "A%S"
    assert repr(other) == "LazyText('b')"
    assert _json.dumps([other]) == b'["b"]'
    assert {other: 1}["b"] == 1  # type: ignore[index]  # it is equal to the text
    with pytest.raises(AttributeError):
        _ = text.__wrapped__


def test_remembering_a_language_sets_its_cookie(german: dict[str, Any]) -> None:
    kept: dict[str, Any] = {}
    handler = SimpleNamespace(set_cookie=lambda name, value, **options: kept.update({name: (value, options)}))
    i18n.remember_locale(handler, "de_DE", {"cookie_name": "lang"})
    assert kept["lang"][0] == "de_DE"
    i18n.remember_locale(handler, "zh-Hans", {"cookie_name": "lang"})
    assert kept["lang"][0] == "zh_CN"
    with pytest.raises(ConfigError, match="no language 'xx'"):
        i18n.remember_locale(handler, "xx", {"cookie_name": "lang"})
    with pytest.raises(ConfigError, match="cookie_name"):
        i18n.remember_locale(handler, "de_DE", {})


TITLE = lazy_gettext("hello")


class Page(WebHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write(f"{TITLE} {gettext('hello')} {self.locale.translate('hello')}")

    async def post(self) -> None:
        i18n.remember_locale(self, self.get_argument("code"), settings.TRANSLATIONS_CONF)


@pytest.fixture
async def client(german: dict[str, Any]) -> AsyncIterator[TestClient]:
    conf = {**german, "cookie_name": "lang"}
    with settings.override(TRANSLATIONS=True, TRANSLATIONS_CONF=conf):
        async with TestClient(Application([("/", Page)])) as client:
            yield client


async def test_below_a_handler_its_visitor_s_language_is_spoken(client: TestClient) -> None:
    async def ask(language: str) -> str:
        text: str = (await client.get("/", headers={"Accept-Language": language})).text
        return text

    found = await asyncio.gather(*map(ask, ["de-DE", "zh-Hans-CN", "fr", "de-AT, en;q=0.8"]))
    assert found == ["Hallo Hallo Hallo", "你好 你好 你好", "hello hello hello", "Hallo Hallo Hallo"]


class LazyPage(WebHandler):
    greeting = lazy_gettext("hello")

    async def get(self) -> None:
        self.set_header("X-Greeting", self.greeting)
        self.set_status(203, self.greeting)  # type: ignore[arg-type]
        self.write(self.greeting)
        await self.finish(self.greeting)


async def test_an_answer_takes_lazy_texts_as_texts(german: dict[str, Any]) -> None:
    with settings.override(TRANSLATIONS=True, TRANSLATIONS_CONF=german):
        async with TestClient(Application([("/", LazyPage)])) as client:
            for language, text in (("de", "Hallo"), ("en", "hello")):
                answer = await client.get("/", headers={"Accept-Language": language})
                assert (answer.text, answer.headers["X-Greeting"], answer.reason_phrase) == (text * 2, text, text)


async def test_without_a_language_that_fits_the_default_is_spoken(client: TestClient) -> None:
    locale.set_default_locale("de_DE")
    assert (await client.get("/")).text == "Hallo Hallo Hallo"
    assert (await client.get("/", headers={"Accept-Language": "fr"})).text == "Hallo Hallo Hallo"


async def test_a_test_client_loads_the_translations_of_its_settings(tmp_path: Path) -> None:
    conf = write_csv(tmp_path / "translations", de_DE='"hello","Hallo"\n')
    with settings.override(TRANSLATIONS=True, TRANSLATIONS_CONF=conf):
        async with TestClient(Application([("/", Page)])) as client:
            assert (await client.get("/", headers={"Accept-Language": "de"})).text == "Hallo Hallo Hallo"


@pytest.mark.parametrize("code", ["xx", "", "../de_DE", "de_DE\r\nx: y"])
async def test_a_language_that_there_is_not_is_the_client_s_fault(client: TestClient, code: str) -> None:
    answer = await client.post("/", params={"code": code})
    assert (answer.status_code, answer.headers.get("set-cookie")) == (400, None)


async def test_a_remembered_language_wins_over_the_browser_s(client: TestClient) -> None:
    await client.post("/?code=zh_CN")
    assert (await client.get("/", headers={"Accept-Language": "de-DE"})).text == "你好 你好 你好"
