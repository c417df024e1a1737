"""Test cases whose methods have to wait still run after the change, and still fail where they should."""

# ruff: noqa: E501  the texts of files
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.port.porting import contents, listed, port
from tests.webserver.project import Project

HEAD = "import unittest\nfrom torngas.utils import sleep\n\n\n"
TORNADO = """
from tornado.testing import AsyncHTTPTestCase, gen_test
from tornado.web import Application, RequestHandler
from torngas.utils import sleep


class Page(RequestHandler):
    def get(self, code):
        self.set_status(int(code))
        self.finish('page')


class A(AsyncHTTPTestCase):
    def get_app(self):
        return Application([(r'/(\\d+)', Page)])

"""


def run(project: Project, module: str = "test_app") -> str:
    """Return how a run of the module's tests ends."""
    command = [sys.executable, "-W", "error", "-m", "unittest", module]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False, timeout=60)
    return done.stderr.splitlines()[-1]


def moved(folder: Path, capsys: pytest.CaptureFixture[str], text: str, **others: str) -> tuple[Project, str]:
    """Return the project with its tests ported, and the report; a second run changes nothing."""
    project = Project(folder)
    project.write("test_app.py", text)
    for name, other in others.items():
        project.write(f"{name}.py", other)
    report = port(project, capsys)
    once = contents(project.path)
    assert listed(port(project, capsys)) == listed(report)
    assert contents(project.path) == once
    return project, report


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("class A(unittest.TestCase):\n    def test_a(self):\n        sleep(0)\n", "OK"),
        ("class A(unittest.TestCase):\n    def test_a(self):\n        sleep(0)\n        self.fail()\n", "FAILED (failures=1)"),
        ("from unittest import TestCase as Case\n\n\nclass A(Case):\n    def load(self):\n        sleep(0)\n        return 1\n\n    def test_a(self):\n        self.assertEqual(self.load(), 2)\n", "FAILED (failures=1)"),
        ("class A(unittest.TestCase):\n    def setUp(self):\n        super(A, self).setUp()\n        sleep(0)\n        self.a = 1\n\n    def tearDown(self):\n        sleep(0)\n        self.fail()\n\n    def test_a(self):\n        self.assertEqual(self.a, 1)\n",
         "FAILED (failures=1)"),
        ("class A(unittest.TestCase):\n    def setUp(self):\n        sleep(0)\n        self.a = [1]\n\n\nclass B(A):\n    def setUp(self):\n        super(B, self).setUp()\n        self.a.append(2)\n\n    def test_a(self):\n        self.assertEqual(self.a, [1, 2])\n", "OK"),
    ],
)  # fmt: skip
def test_unittest_awaits_what_waits(text: str, result: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, report = moved(tmp_path, capsys, HEAD + text)
    assert run(project) == result
    assert listed(report) == []


def test_a_base_class_of_another_file_is_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = HEAD + "class Base(unittest.TestCase):\n    def setUp(self):\n        sleep(0)\n        self.a = 1\n"
    text = "from base import Base\n\n\nclass A(Base):\n    def test_a(self):\n        self.assertEqual(self.a, 2)\n"
    project, _ = moved(tmp_path, capsys, text, base=base)
    assert run(project) == "FAILED (failures=1)"
    assert "Base(unittest.IsolatedAsyncioTestCase)" in contents(tmp_path)["base.py"]


def test_setup_methods_of_other_test_cases_keep_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What awaits them, if anything does, is not known."""
    text = HEAD + "from own import TestCase\n\n\nclass A(TestCase):\n    def setUp(self):\n        sleep(0)\n"
    project, _ = moved(tmp_path, capsys, text)
    assert "async def setUp" in contents(project.path)["test_app.py"]


def test_test_cases_that_do_not_wait_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = HEAD + "class A(unittest.TestCase):\n    def test_a(self):\n        pass\n"
    project, _ = moved(tmp_path, capsys, text)
    assert "class A(unittest.TestCase)" in contents(project.path)["test_app.py"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("    def test_a(self):\n        self.assertEqual(self.fetch('/404').code, 200)\n", "FAILED (failures=1)"),
        ("    def test_a(self):\n        sleep(0)\n        self.assertEqual(self.fetch('/404').body, b'page')\n", "OK"),
        ("    def test_a(self):\n        sleep(0)\n        page = self.fetch(self.get_url('/404')[:0] + '/200', method='GET')\n        self.assertEqual(page.code, 404)\n", "FAILED (failures=1)"),
        ("    @gen_test\n    def test_a(self):\n        page = yield self.http_client.fetch(self.get_url('/200'))\n        sleep(0)\n        self.assertEqual(page.code, 404)\n", "FAILED (failures=1)"),
        ("    @gen_test(timeout=9)\n    def test_a(self):\n        pages = yield [self.http_client.fetch(self.get_url('/200'))]\n        self.assertEqual(pages[0].code, 200)\n", "OK"),
        ("    def test_a(self):\n        self.http_client.fetch(self.get_url('/500'), self.stop)\n        page = self.wait()\n        self.assertEqual(page.code, 500)\n        self.assertEqual(self.fetch('/200').code, 200)\n", "OK"),
        ("    def test_a(self):\n        self.http_client.fetch(self.get_url('/200'), callback=self.stop)\n        self.assertEqual(self.wait(timeout=5).code, 200)\n", "FAILED (errors=1)"),
        ("    def test_a(self):\n        self.io_loop.add_callback(self.stop, 1)\n        self.assertEqual(self.wait(), 1)\n", "OK"),
    ],
)  # fmt: skip
def test_test_cases_of_tornado_run(text: str, result: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, report = moved(tmp_path, capsys, TORNADO + text)
    assert run(project) == result
    assert [line for line in listed(report) if "TGM401" not in line] == []
    assert ("TGM401" in report) == ("errors" in result)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        (HEAD + "class A(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls):\n        sleep(0)\n", "asyncSetUp"),
        (TORNADO.replace("HTTP", "HTTPS") + "    def tearDown(self):\n        sleep(0)\n", "io_loop.run_sync"),
        (TORNADO + "    def setUp(self):\n        super(A, self).setUp()\n        sleep(0)\n", "io_loop.run_sync"),
        (TORNADO + "    def test_a(self):\n        sleep(0)\n        self.load(self.stop)\n        self.wait()\n", "self.wait()"),
    ],
)  # fmt: skip
def test_what_no_test_runner_awaits_is_listed(
    text: str, mend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, report = moved(tmp_path, capsys, text)
    assert [line.split(" ")[1] for line in listed(report)] == ["TGM202"]
    assert mend in listed(report)[0]
