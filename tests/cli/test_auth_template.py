"""`startapp --template auth`: users with their pages and commands, in a generated project, over sockets."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.polling import wait_until
from tests.webserver.project import Project, RunningServer
from torngas_aio.cli import main

pytestmark = pytest.mark.timeout(120)  # each test starts processes, on machines that may be busy

SETTINGS = """
from settings.setting import *
INSTALLED_APPS = ("home", "accounts")
MIDDLEWARE_CLASSES = (
    "torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware",
    "torngas_aio.middleware.session.SessionMiddleware",
    "torngas_aio.auth.AuthMiddleware",
    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",
)
COMMON_MODULES = ()
ROUTE_MODULES = {"index": ["torngas_aio.auth.LoginRequired"]}
DATABASE_CONNECTION = {"default": {"connections": [
    {"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": str(PROJECT_PATH / "db.sqlite")}
]}}
BASE_URL = "https://shop.example/"
SESSION = {"secret_key": "for these tests only, and long enough for a secret"}
AUTH = {"load_user": "accounts.models.load_user", "has_permission": "accounts.models.has_permission",
        "login_url": "/accounts/login"}
"""
MAIL = """
from pathlib import Path
async def send_mail(to, subject, text):
    with open("mails.txt", "a") as file:
        file.write(f"{to}\\n{text}\\n")
"""
PERMISSION = """
import sys
from accounts.models import *
user = await User.Q.filter_by(name="ann").first()
print(await has_permission(user, "edit"))
User.session.add(Group(id=1, name="editors"))
await User.session.flush()
User.session.add_all([Membership(user_id=user.id, group_id=1), GroupPermission(group_id=1, permission="edit")])
await User.session.flush()
print(await has_permission(user, "edit"), await has_permission(user, "other"))
await User.session.rollback()
"""
OLD, NEW = "correct horse battery", "another long password"


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with the app, its tables and the user ann: four processes make it."""
    folder = tmp_path_factory.mktemp("auth")
    command(Project(folder), "startproject", "site-one")
    site = Project(folder / "site-one")
    assert "torngas-aio db upgrade" in command(site, "startapp", "accounts", "--template", "auth")
    site.write("settings/with_users.py", SETTINGS)
    site.write("accounts/mail.py", MAIL)
    pyproject = site.path / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('"settings.setting"', '"settings.with_users"'))
    assert "at " in command(site, "db", "upgrade")
    command(site, "createuser", "ann", "Ann@Example.com", line=OLD)
    return site.path


@pytest.fixture
def site(made_once: Path, tmp_path: Path) -> Project:
    """A copy of it, the test's own."""
    return Project(shutil.copytree(made_once, tmp_path / "site-one"))


def command(site: Project, *words: str, line: str = "", status: int = 0) -> str:
    """Run a command of the project; return what it wrote."""
    code = f"import io, sys; sys.stdin = io.StringIO({line!r}); from torngas_aio.cli import main; sys.exit(main())"
    done = site.run("-c", code, *words)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def server(site: Project) -> Iterator[RunningServer]:
    with site.serve("--port=0", "--settings=settings.with_users") as server:
        yield server


class Browser:
    """A client that sends the token of the page that it has seen last."""

    def __init__(self, address: str) -> None:
        self.client = httpx2.Client(base_url=address, trust_env=False)
        self.text = ""

    def get(self, path: str) -> httpx2.Response:
        response = self.client.get(path)
        self.text = response.text
        return response

    def post(self, path: str, page: str | None = None, **fields: str) -> httpx2.Response:
        self.get(page or path)
        found = re.search(r'name="_xsrf" value="([^"]+)"', self.text)
        return self.client.post(path, data={**fields, "_xsrf": found[1] if found else ""})

    def login(self, password: str, **more: str) -> httpx2.Response:
        return self.post("/accounts/login", name="ann", password=password, **more)


@pytest.fixture
def browsers(server: RunningServer) -> Iterator[list[Browser]]:
    """Two browsers."""
    found = [Browser(server.address), Browser(server.address)]
    yield found
    for each in found:
        each.client.close()


def links(site: Project, count: int) -> list[str]:
    """Return the addresses in the mails, once there are *count*."""
    path = site.path / "mails.txt"

    def found() -> list[str]:
        return re.findall(r"https://\S+", path.read_text()) if path.exists() else []

    wait_until(lambda: len(found()) >= count)
    return found()


def test_login_logout_and_change(browsers: list[Browser]) -> None:
    """A change ends the other sessions and keeps the own."""
    ann, elsewhere = browsers
    assert ann.get("/").headers["location"] == "/accounts/login?next=%2F"
    assert ann.login("wrong password").status_code == 422
    assert ann.login(OLD, next="//evil.test").headers["location"] == "/"
    assert elsewhere.login(OLD).status_code == 303
    assert ann.get("/").status_code == elsewhere.get("/").status_code == 200
    page = "/accounts/password"
    for fields in (
        {"password": "wrong", "new": NEW, "again": NEW},
        {"password": OLD, "new": NEW, "again": "x"},
        {"password": OLD, "new": "short", "again": "short"},
    ):
        assert ann.post(page, **fields).status_code == 422
    assert ann.post(page, password=OLD, new=NEW, again=NEW).status_code == 200
    assert ann.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    assert ann.post("/accounts/logout", page=page).status_code == 303
    assert ann.get("/").status_code == 302
    assert ann.login(OLD).status_code == 422
    assert ann.login(NEW).status_code == 303


def test_a_reset_link_works_once(site: Project, browsers: list[Browser]) -> None:
    """It begins with BASE_URL, is void after a change, and ends the user's sessions."""
    ann, visitor = browsers
    ann.login(OLD)
    visitor.client.headers["Host"] = "evil.test"
    answers = [visitor.post("/accounts/reset", email=email) for email in ("none@example.com", "ANN@example.com")]
    assert answers[0].status_code == answers[1].status_code == 200
    assert answers[0].text == answers[1].text
    links(site, 1)
    visitor.post("/accounts/reset", email="ann@example.com")
    first, second = links(site, 2)
    assert first.startswith("https://shop.example/accounts/reset/confirm?token=")
    token = parse_qs(urlsplit(first).query)["token"][0]
    page = "/accounts/reset/confirm?" + urlsplit(first).query
    assert visitor.get(page).status_code == 200
    forged = {"token": f"{token[:-1]}{'0' if token[-1] != '0' else '1'}", "new": NEW, "again": NEW}
    assert visitor.post("/accounts/reset/confirm", page=page, **forged).status_code == 400
    fields = {"token": token, "new": NEW, "again": NEW}
    assert visitor.post("/accounts/reset/confirm", page=page, **{**fields, "again": "x"}).status_code == 422
    assert visitor.post("/accounts/reset/confirm", page=page, **fields).status_code == 200
    assert ann.get("/").status_code == 302
    assert visitor.get(page).status_code == 400
    assert visitor.get("/accounts/reset/confirm?" + urlsplit(second).query).status_code == 400
    assert ann.login(NEW).status_code == 303


def test_attempts_are_limited(browsers: list[Browser]) -> None:
    browser = browsers[0]
    assert [browser.login("wrong").status_code for _ in range(11)] == [422] * 10 + [429]


def test_a_link_is_valid_for_an_hour(site: Project) -> None:
    site.write(
        "old.py",
        "import asyncio, time\n"
        "from unittest import mock\n"
        "from accounts.passwords import _LINK, LINK_SECONDS, _state_of, user_of_link\n"
        "from accounts.models import User\n"
        "from tornado.web import create_signed_value, decode_signed_value\n"
        "from torngas_aio import settings\n"
        "secret = settings.TORNADO_CONF['cookie_secret']\n"
        "user = await User.Q.filter_by(name='ann').first()\n"
        "class Handler:\n"
        "    def get_signed_cookie(self, name, value, max_age_days):\n"
        "        return decode_signed_value(secret, name, value, max_age_days=max_age_days)\n"
        "for age in (3000, 3700):\n"
        "    value = f'{user.id}:{_state_of(user)}'\n"
        "    token = create_signed_value(secret, _LINK, value, clock=lambda: time.time() - age)\n"
        "    print(await user_of_link(Handler(), token) is not None)\n",
    )
    assert command(site, "run", "old.py").split() == ["True", "False"]


def test_commands_and_permissions(site: Project) -> None:
    site.write("ask.py", PERMISSION)
    assert command(site, "run", "ask.py").split() == ["False", "True", "False"]
    assert "already" in command(site, "createuser", "ann", "other@example.com", line=NEW, status=1)
    assert "10 characters" in command(site, "createuser", "bob", "bob@example.com", line="short", status=1)
    assert "no such user" in command(site, "changepassword", "bob", line=NEW, status=1)
    assert "Changed" in command(site, "changepassword", "ann", line=NEW)
    assert "createuser" in command(site, "--help")
    assert "nothing has changed" in command(site, "db", "revision", "-m", "none")


def test_the_migration_follows_those_that_are_there(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Project(project)
    site.write("migrations/default/1.py", 'revision = "aaa"\ndown_revision = None\n')
    site.write("migrations/default/2.py", 'revision: str = "bbb"\ndown_revision: str | None = "aaa"\n')
    assert main(["startapp", "people", "--template=auth"]) == 0
    (made,) = (project / "migrations/default").glob("*_people.py")
    assert "down_revision = 'bbb'" in made.read_text()
    assert main(["startapp", "staff", "--template=auth"]) == 0
    (made,) = (project / "migrations/default").glob("*_staff.py")
    assert "down_revision = 'bbb'" not in made.read_text()
    site.write("migrations/default/3.py", 'revision = "ccc"\ndown_revision = "aaa"\n')
    assert main(["startapp", "others", "--template=auth"]) == 1
    assert "Merge them first" in capsys.readouterr().err


def test_base_url_is_asked_for_at_start(site: Project) -> None:
    path = site.path / "settings/with_users.py"
    path.write_text(path.read_text().replace("BASE_URL = ", "OTHER_URL = "))
    assert "BASE_URL is not set" in command(site, "check", status=1)
