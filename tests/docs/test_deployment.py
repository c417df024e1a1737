"""The configuration files of the deployment guide are complete and fit the server's own limits."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from torngas_aio.webserver.stopping import GRACEFUL_SECONDS, SHUTDOWN_SECONDS

GUIDE = Path(__file__).parents[2] / "docs/guide/deployment.md"


@pytest.fixture
def snippets() -> dict[str, str]:
    """The guide's code blocks by their first word."""
    blocks = re.findall(r"```text\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return {re.sub(r"\W+", " ", block).split()[0]: block for block in blocks}


def test_systemd_waits_longer_than_the_server_takes(snippets: dict[str, str]) -> None:
    found = re.search(r"TimeoutStopSec=(\d+)", snippets["Service"])
    assert found
    assert int(found[1]) > GRACEFUL_SECONDS + SHUTDOWN_SECONDS


def test_nginx_knows_every_variable_and_lets_bodies_pass(snippets: dict[str, str]) -> None:
    text = snippets["nginx"]
    assert re.search(r"map \$http_upgrade \$connection_upgrade \{", text)
    assert re.search(r"client_max_body_size \d+m;", text)


@pytest.mark.skipif(shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None, reason="needs nginx")
def test_nginx_takes_it(snippets: dict[str, str], tmp_path: Path) -> None:
    http, server = snippets["nginx"].split("# in the server block")
    conf = tmp_path / "nginx.conf"
    logs = f"error_log {tmp_path}/e.log; pid {tmp_path}/pid;"
    conf.write_text(
        f"{logs} events {{}} http {{ access_log off; {http} server {{ listen 127.0.0.1:8081; {server} }} }}"
    )
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    done = subprocess.run([str(nginx), "-t", "-c", str(conf)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
