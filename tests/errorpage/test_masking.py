"""Secrets are masked, and hostile values cost a bounded time and length."""

import collections
import itertools
import re
import sys
import time
import types
import weakref
from typing import Any

import pytest

from torngas_aio.errorpage.masking import MASK, Showing, is_secret, mask_text


@pytest.mark.parametrize(
    "name",
    ["password", "PASSWD", "db_password", "secret_key", "cookie_secret", "api_key", "apiKey", "X-Api-Key",
     "access_token", "Authorization", "auth", "session_id", "sessionid", "_xsrf", "csrf_token", "Set-Cookie",
     "private_key", "dsn", "credentials", "passphrase", "salt", "card_number", "PWD", "pw", "jwt", "bearer", "sid",
     "creds", "encryption_key", "aws_key", "STRIPE_KEY", "stripeKey", "STRIPE_KEY_LIVE", "old_pw", "pw2", "dbPw",
     "x-jwt-old", "jwts", "userpw", "PHPSESSID", "ssh_keys", "otp", "connect.sid", "appJWTs",
     "PRIVATEKEY", "encryptionkey", "pswd", b"pw", b"Authorization"],
)  # fmt: skip
def test_names_that_sound_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "author",
        "name",
        "compass",
        "session_name",
        "SESSION",
        "page",
        "passenger",
        "expires",
        "host",
        "dosnt",
        3,
        "key",
        "keys",
        "KEY_FUNCTION",
        "primary_key",
        "cache_key",
        "cacheKey",
        "public_key",
        "sidebar",
        "monkey",
        "keyboard",
        "spin",
        "bearing",
        "passes",
        "creditor",
        None,
        ("pw",),
        "",
    ],
)
def test_names_that_do_not(name: object) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mysql://app:s3cret@db/blog", f"mysql://app:{MASK}@db/blog"),
        ("redis://:pw@host:6379/0", f"redis://:{MASK}@host:6379/0"),
        ("User(name='Ann', password='hunter2')", f"User(name='Ann', password={MASK})"),
        ('{"token": "abc", "page": 1}', f'{{"token": {MASK}, "page": 1}}'),
        ("Authorization: Bearer abc.def", f"Authorization: {MASK}"),
        ('def f(secret: str | None = "abc")', f"def f(secret: str | None = {MASK})"),
        ("error: password=abc", f"error: password={MASK}"),
        ("pw=abc&page=2", f"pw={MASK}&page=2"),
        ("STRIPE_KEY: 'a b', page: 2", f"STRIPE_KEY: {MASK}, page: 2"),
        ("('pw', 'x y'), [\"jwt\", 'z']", f"('pw', {MASK}), [\"jwt\", {MASK}]"),
        ("[(b'authorization', b'Bearer x')]", f"[(b'authorization', {MASK})]"),
        ("password='it\\'s' page=1", f"password={MASK} page=1"),
        (
            "boom\n[SQL: INSERT INTO u (name, pw) VALUES (%s, %s)]\n[parameters: ('ann', 'x')]\n(Background)",
            f"boom\n[SQL: INSERT INTO u (name, pw) VALUES (%s, %s)]\n[parameters: {MASK}]\n(Background)",
        ),
        (
            "[SQL: INSERT INTO u (pw, id) VALUES (:pw, :id)]\n[parameters: {'pw': 'x', 'id': 3}]",
            f"[SQL: INSERT INTO u (pw, id) VALUES (:pw, :id)]\n[parameters: {{'pw': {MASK}, 'id': 3}}]",
        ),
        (
            "[SQL: SELECT name FROM u WHERE id=%s]\n[parameters: (3,)]",
            "[SQL: SELECT name FROM u WHERE id=%s]\n[parameters: (3,)]",
        ),
        ("L(passwords=['a', 'x'], page=1)", f"L(passwords={MASK}, page=1)"),
        ("N(creds=I(user='u', value='x)'), page=1)", f"N(creds={MASK}, page=1)"),
        ('{"tokens": {"a": ["x", "}"]}, "page": 1}', f'{{"tokens": {MASK}, "page": 1}}'),
        ('{"creds": {\n "a": "x"\n}}', f'{{"creds": {MASK}\n\n}}'),
        (r'"{\"sid\": \"x\", \"page\": 1}"', rf'"{{\"sid\": {MASK}, \"page\": 1}}"'),
        ("passwords=['a', 'cut off", f"passwords={MASK}"),
        ("password='cut off", f"password={MASK}"),
        ('password = """a"b', f"password = {MASK}"),
        ("if password == 'x':", f"if password == {MASK}:"),
        ("os.environ['DB_PW'] = 'x' + \"y\"", f"os.environ['DB_PW'] = {MASK}"),
        ("password = f'x' 'y', 1", f"password = {MASK}, 1"),
        ("Cookie: a=b; c=x\nHost: h", f"Cookie: {MASK}\nHost: h"),
        ("Authorization: Negotiate abc def\r\nHost: h", f"Authorization: {MASK}\r\nHost: h"),
        ("sent Bearer abcdef0123456789 to it", f"sent Bearer {MASK} to it"),
        ("got eyJhbGciOiJI.eyJzdWIi.c2ln, sent", f"got {MASK}, sent"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END x", f"-----BEGIN RSA PRIVATE KEY-----{MASK}\n\n-----END x"),
        ("UPDATE u SET `pw`='it''s' WHERE id=1", f"UPDATE u SET `pw`={MASK} WHERE id=1"),
        ("WHERE u.pw <> 'x' AND id=1", f"WHERE u.pw <> {MASK} AND id=1"),
        ("WHERE token IN ('a', 'x') AND id=1", f"WHERE token IN {MASK} AND id=1"),
        ("WHERE jwt NOT LIKE 'x'", f"WHERE jwt NOT LIKE {MASK}"),
        ("ALTER USER u IDENTIFIED BY 'x'", f"ALTER USER u IDENTIFIED BY {MASK}"),
        ("CREATE ROLE u WITH PASSWORD 'x'", f"CREATE ROLE u WITH PASSWORD {MASK}"),
        (
            "INSERT INTO u (id, pw) VALUES (1, 'a'), (2, 'b') RETURNING id",
            f"INSERT INTO u (id, pw) VALUES ({MASK}) RETURNING id",
        ),
        ("INSERT INTO u (id, name) VALUES (1, 'a')", "INSERT INTO u (id, name) VALUES (1, 'a')"),
        ("mysql --password x --port 3", f"mysql --password {MASK} --port 3"),
        ("['mysql', '--password', 'x', '--port']", f"['mysql', '--password', {MASK}, '--port']"),
        ("next=a%3Db%26token%3Dx&page=1", f"next=a%3Db%26token%3D{MASK}&page=1"),
        ("DRIVER={x};PWD={a;b};SERVER=h", f"DRIVER={{x}};PWD={MASK};SERVER=h"),
        ("the key: 3, page: 4", "the key: 3, page: 4"),
        ("expected token 'end of print statement'", "expected token 'end of print statement'"),
        ("https://example.org/a?b=c", "https://example.org/a?b=c"),
        ("the password is wrong", "the password is wrong"),
    ],
)
def test_secrets_within_text_are_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_masking_takes_its_time_by_length_only() -> None:
    # quadratic work would run into the test's time limit
    mask_text("a" * 1_000_000 + "." * 1_000_000)
    mask_text("a: b " * 100_000)
    mask_text("password='" + "\\a" * 500_000)
    mask_text("('a', " * 100_000)
    mask_text("[SQL: " * 100_000 + "[parameters: (" * 100_000)
    for unit in (
        "password=(",
        "pw='",
        'pw="',
        "pw=\\'",
        "pw='''",
        "(pw)VALUES(",
        "(a)VALUES(",
        "--pw ",
        "pw not ",
        "identified with a ",
        "eyJaaaaaaaa.",
        "-----BEGIN PRIVATE KEY-----",
        "pw='a'+",
        "pw=a(",
        "cookie: a ",
    ):
        mask_text(unit * 20_000)


def test_values_behind_secret_names_are_masked_at_any_depth() -> None:
    class Section(dict[str, Any]):
        pass

    shown = Showing().text({"CACHES": Section(default={"PASSWORD": "pw", "list": [{"token": "t"}]}), "page": 1})
    assert "pw" not in shown
    assert "'t'" not in shown
    assert "'page': 1" in shown
    assert Showing().text("pw", "password") == MASK
    assert Showing().text(None, "password") == "None"
    assert Showing().text(True, "use_token") == "True"


@pytest.mark.parametrize(
    "value",
    [
        [("pw", "hunter2")],
        (("page", 1), ["jwt", "hunter2"]),
        {"fields": [[b"authorization", b"hunter2"]]},
        {b"pw": "hunter2"},
        {"a": [{"aws_key": "hunter2"}]},
        types.MappingProxyType({"sid": "hunter2"}),
        collections.UserDict(STRIPE_KEY="hunter2"),
    ],
)
def test_pairs_and_nested_values_are_masked(value: object) -> None:
    shown = Showing().text(value, "value")
    assert "hunter2" not in shown
    assert MASK in shown


def test_parameters_beside_a_statement_that_names_a_secret_are_masked() -> None:
    values = {"statement": "INSERT INTO u (name, pw) VALUES (?, ?)", "parameters": ("ann", "hunter2"), "page": [1]}
    assert Showing().items(values)[1:] == [("parameters", MASK), ("page", "[1]")]
    values = {"sql": "SELECT 1 WHERE name = ?", "params": ["ann"]}
    assert Showing().items(values)[1] == ("params", "['ann']")


class Raises:
    def __repr__(self) -> str:
        raise SystemExit


class Endless:
    def __repr__(self) -> str:
        while True:
            pass


class Sleeper:
    def __repr__(self) -> str:
        while True:
            time.sleep(0.001)


class Plain:
    def __repr__(self) -> str:
        name = "plain"
        return f"<{name}>"


class Huge:
    def __repr__(self) -> str:
        return "x" * 10_000_000


class Liar(str):
    __slots__ = ()

    def replace(self, *_: Any) -> str:
        return "<script>"

    __str__ = __repr__ = replace


class NoText:
    def __repr__(self) -> Any:
        return 3


class BadDict(dict[str, Any]):
    def items(self) -> Any:
        raise KeyError

    def __len__(self) -> int:
        raise KeyError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Raises(), "<Raises: its repr raised SystemExit>"),
        (Endless(), "<Endless: its repr takes too long>"),
        (Sleeper(), "<Sleeper: its repr takes too long>"),
        (NoText(), "<NoText: its repr raised TypeError>"),
        (BadDict(a=1), "{'a': 1}"),
        ([Raises()], "[<Raises: its repr raised SystemExit>]"),
        ((1,), "(1)"),
    ],
)
def test_hostile_values_are_named(value: object, text: str) -> None:
    assert Showing().text(value) == text


def test_time_that_other_programs_take_is_not_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a template's error page was without the handler's line."""
    seconds = itertools.count(0, 0.004)
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    showing = Showing()
    assert [showing.text(Plain()) for _ in range(9)] == ["<plain>"] * 9


class Leaving:
    """Objects of it die slowly."""

    def __del__(self) -> None:
        for _ in range(2000):
            pass


class Churning:
    """Its repr never ends, and lets go of objects that weak sets hold."""

    def __repr__(self) -> str:
        kept: weakref.WeakSet[Leaving] = weakref.WeakSet()
        while True:
            kept.add(Leaving())


def test_the_time_limit_does_not_strike_while_objects_die(monkeypatch: pytest.MonkeyPatch) -> None:
    """There an exception would be printed and dropped, and the value would go on."""
    dropped: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    for _ in range(10):
        assert Showing().text(Churning()) == "<Churning: its repr takes too long>"
    assert dropped == []


def test_huge_values_are_cut() -> None:
    assert Showing().text(10**5000) == "<int of 16610 bits>"  # Python refuses to write so many digits
    assert len(Showing(max_chars=200).text(Huge())) < 250
    assert Showing(max_chars=200).text("x" * 10_000_000).endswith("(10000000 in all)")
    assert Showing(max_chars=200).text(list(range(10_000))).endswith("… (10000 in all)]")
    deep: list[Any] = []
    for _ in range(1000):
        deep = [deep]
    assert Showing().text(deep) == "[[[[[…]]]]]"
    pair = collections.namedtuple("pair", "a token")
    assert Showing().text(pair(1, "secret")) == f"pair(a=1, token={MASK})"


def test_all_values_together_have_one_budget() -> None:
    showing = Showing(seconds=0.0)
    assert showing.text(object()) == "<object: not shown, the time for showing values was used up>"
    assert showing.text({"a": "b"}) == "{'a': 'b'}"


def test_an_error_s_message_is_masked_and_bounded() -> None:
    class Bad(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert re.fullmatch(r"<.*Bad: its str raised ValueError>", Showing().message(Bad()))
    assert Showing().message(ValueError("token=abc")) == f"token={MASK}"
