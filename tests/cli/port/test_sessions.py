"""What is put into sessions and has no form in JSON is listed, also where it has a name first."""

# ruff: noqa: E501  the texts of functions
import ast
from pathlib import Path

import pytest

from tests.cli.port.porting import listed, port
from tests.webserver.project import Project
from torngas_aio.cli.port.sessions import find_unstorable

HEAD = "def f(self, pid, name):\n    "


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("self.session['gm'] = GmInfo(name)", "what GmInfo() gives is refused"),
        ("self.session['since'] = datetime.datetime.now()", "what now() gives is refused"),
        ("at = date.today()\n    handler.session['at'] = at", "what today() gives is refused"),
        ("self.session['user'] = User.Q.filter_by(name=name).first()", "what first() gives is refused"),
        ("user = User.Q.get(pid)\n    self.session['user'] = user", "what get() gives is refused"),
        ("cart = self.session.get('cart', {})\n    pid = int(pid)\n    cart[pid] = 1\n    self.session['cart'] = cart", "keys that are no text are refused"),
        ("cart = {}\n    cart[int(pid)] += 1\n    self.session['cart'] = cart", "keys that are no text are refused"),
        ("self.session['d'] = {1: 'a'}", "keys that are no text are refused"),
        ("self.session['d'] = {'a': {1.5: 'a'}}", "keys that are no text are refused"),
        ("self.session['d'] = {'a': [Decimal(1)]}", "what Decimal() gives is refused"),
        ("self.session['d'] = {1, 2}", "a set is refused"),
        ("recent = self.session.get('recent', [])\n    recent.insert(0, (name, 1))\n    self.session['recent'] = recent[:5]", "a tuple comes back as a list"),
        ("recent = []\n    recent.append(GmInfo())\n    self.session['recent'] = recent", "what GmInfo() gives is refused"),
        ("pair = 1, 2\n    self.session['a'] = pair", "a tuple comes back as a list"),
        ("self.session['a'] = [(each.id, 1) for each in name]", "a tuple comes back as a list"),
    ],
)  # fmt: skip
def test_what_json_has_no_form_for_is_told(text: str, what: str) -> None:
    (found,) = find_unstorable(ast.parse(HEAD + text))
    assert found[1] == what
    assert found[0].lineno == 2 + text.count("\n")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "self.session['a'] = str(User.Q.get(1).id)",
        "self.session['a'] = [each.id for each in User.Q.all()]",
        "self.session['a'] = {'b': [1, 'c', None]}",
        "self.session['a'] = Storage(a=1)",
        "self.session['a'] = datetime.now().isoformat()",
        "self.cache['a'] = datetime.now()",
        "cart = {}\n    cart[str(pid)] = 1\n    self.session['cart'] = cart",
        "other = (1, 2)\n    self.session['a'] = name",
        "self.session['a'] = self.get_argument('a')",
    ],
)
def test_what_json_keeps_is_not_listed(text: str) -> None:
    assert list(find_unstorable(ast.parse(HEAD + text))) == []


def test_another_serializer_keeps_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write("app.py", f"{HEAD}self.session['a'] = Own()\n")
    assert "app.py:2: TGM307" in port(project, capsys)
    project.write("settings.py", "SESSION = {'serializer': 'signed-pickle'}\n")
    assert listed(port(project, capsys)) == []
