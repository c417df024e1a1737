"""Redis servers for the tests: single, with TLS or a unix socket, as a cluster, and with sentinels.

    RedisServer        one server; `url`, and `.process` to pause, kill and restart it
    RedisCluster       three masters that share the 16,384 slots; `url`
    RedisSentinels     a master, a replica and three sentinels; `url`, `fail_over()`

Begin with `RedisServer`.
"""

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.polling import wait_until
from tests.services.process import HERE, HOST, Place, ServerProcess, binary, free_port

__all__ = ["Certificates", "RedisCluster", "RedisSentinels", "RedisServer", "command"]


def command(port: int, *words: str, password: str | None = None, host: str = HOST) -> str:
    """Send one command with redis-cli and return the reply as text; "" if there is none."""
    auth = ["-a", password, "--no-auth-warning"] if password else []
    done = subprocess.run(
        [binary("redis-cli"), "-h", host, "-p", str(port), *auth, *words],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return done.stdout.strip()


class Certificates:
    """A temporary certificate authority and a certificate for 127.0.0.1, written into *folder*."""

    def __init__(self, folder: Path) -> None:
        import trustme

        authority = trustme.CA()
        issued = authority.issue_cert(HOST, "localhost")
        self.authority = folder / "ca.pem"
        self.certificate = folder / "cert.pem"
        self.key = folder / "key.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        issued.private_key_pem.write_to_path(str(self.key))
        issued.cert_chain_pems[0].write_to_path(str(self.certificate))


class RedisServer:
    """One Redis server without persistence.

    Args:
        options: Further lines of its configuration, such as `maxmemory="10mb"`; underscores stand for dashes.
        unix_socket: Listen also on a unix socket; see `socket_path`.
        tls: Listen also with TLS on `tls_port`, with the certificates of `certificates`.
        place: Where it runs.
    """

    def __init__(self, *, unix_socket: bool = False, tls: bool = False, place: Place = HERE, **options: str) -> None:
        self.host = place.address
        self.port = free_port()
        self.tls_port = free_port() if tls else 0
        self.password = options.get("requirepass")
        self.process = ServerProcess("redis", self._command, self._answers, place=place)
        self._unix_socket = unix_socket
        self._options = {key.replace("_", "-"): value for key, value in options.items()}
        if tls:
            self.certificates = Certificates(self.process.folder)

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.close()

    @property
    def address(self) -> str:
        """Host and port, in the format of `LOCATION`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL of the server, with database 0."""
        return f"redis://{self.host}:{self.port}/0"

    @property
    def socket_path(self) -> str:
        """Path of the unix socket."""
        return str(self.process.folder / "redis.sock")

    def command(self, *words: str) -> str:
        """Send one command with redis-cli."""
        return command(self.port, *words, password=self.password, host=self.host)

    def _command(self, folder: Path) -> list[str]:
        words = [binary("redis-server"), "--port", str(self.port), "--bind", self.host, "--dir", str(folder)]
        words += ["--save", "", "--appendonly", "no", "--loglevel", "warning", "--protected-mode", "no"]
        words += ["--repl-diskless-sync-delay", "0"]  # default: 5 s, to wait for further replicas
        if self._unix_socket:
            words += ["--unixsocket", str(folder / "redis.sock")]
        if self.tls_port:
            made = self.certificates
            words += ["--tls-port", str(self.tls_port), "--tls-auth-clients", "no"]
            words += ["--tls-cert-file", str(made.certificate), "--tls-key-file", str(made.key)]
            words += ["--tls-ca-cert-file", str(made.authority)]
        for key, value in self._options.items():
            words += [f"--{key}", value]
        return words

    def _answers(self) -> bool:
        return self.command("PING") == "PONG"


class RedisCluster:
    """A cluster of three masters, with or without replicas.

    Args:
        places: Where each master runs, then each replica: 3 or 6.
    """

    def __init__(self, places: Sequence[Place] = (HERE,) * 3) -> None:
        self.nodes = [
            RedisServer(
                place=place, cluster_enabled="yes", cluster_node_timeout="1000", cluster_require_full_coverage="no"
            )
            for place in places
        ]

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.process.start()
        words = [binary("redis-cli"), "--cluster", "create", *(node.address for node in self.nodes), "--cluster-yes"]
        subprocess.run(
            [*words, "--cluster-replicas", f"{len(self.nodes) // 3 - 1}"],
            check=True,
            capture_output=True,
            timeout=30,
        )
        self.wait_until_whole()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for node in self.nodes:
            node.process.close()

    def heal(self) -> None:
        """Restart killed nodes, resume paused ones, wait until the cluster is complete, and flush all nodes."""
        for node in self.nodes:
            if node.process.is_running:
                node.process.resume()
            node.process.start()
        self.wait_until_whole()
        for node in self.nodes:
            node.command("FLUSHALL")

    def wait_until_whole(self) -> None:
        """Wait until every node reports all slots covered; after losing the others a node refuses keys for 1 s."""
        _wait_for(self._is_whole, "the cluster to cover every slot")

    @property
    def url(self) -> str:
        """The three nodes, in the format of `LOCATION`."""
        return "redis+cluster://" + ",".join(node.address for node in self.nodes)

    def move_slot(self, key: str) -> RedisServer:
        """Move the slot of *key*, with its keys, to another master; return that master."""
        slot, source = self.nodes[0].command("CLUSTER", "KEYSLOT", key), self.master_of(key)
        target = next(node for node in self.nodes if node is not source and "master" in node.command("ROLE"))
        ids = {node: node.command("CLUSTER", "MYID") for node in (source, target)}
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, "100").split():
            source.command("MIGRATE", target.host, str(target.port), "", "0", "5000", "KEYS", *keys)
        for node in (target, source, *self.nodes):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        return target

    def _is_whole(self) -> bool:
        known = [node.command("CLUSTER", "INFO") for node in self.nodes]
        count = f"cluster_known_nodes:{len(self.nodes)}"
        whole = ("cluster_state:ok", "cluster_slots_ok:16384", count)
        return all(part in info for info in known for part in whole)

    def master_of(self, key: str) -> RedisServer:
        """Return the master that serves the slot of *key*."""
        (moved,) = [self.nodes[0].command("CLUSTER", "KEYSLOT", key)]
        for line in self.nodes[0].command("CLUSTER", "NODES").splitlines():
            words = line.split()
            for first, _, last in (each.partition("-") for each in words[8:]):
                if "master" in words[2] and int(first) <= int(moved) <= int(last or first):
                    return next(node for node in self.nodes if words[1].startswith(f"{node.address}@"))
        raise RuntimeError(f"no master has the slot {moved}")


class RedisSentinels:
    """A master with one replica, and three sentinels that replace it when it dies.

    Attributes:
        service: The name under which the sentinels know the master.

    Args:
        places: Where master, replica and each sentinel run.
        down_after: Seconds without a reply after which the master counts as down. Tests without failover need more than
            a busy machine may delay the master.
    """

    def __init__(self, places: Sequence[Place] = (HERE,) * 5, *, down_after: float = 0.5) -> None:
        self.service = "mymaster"
        self.first = RedisServer(place=places[0])
        self.second = RedisServer(place=places[1], replicaof=f"{self.first.host} {self.first.port}")
        self.ports = [free_port() for _ in range(3)]
        self.hosts = [place.address for place in places[2:5]]
        self.sentinels = [self._sentinel(number, place, down_after) for number, place in enumerate(places[2:5])]

    def __enter__(self) -> Self:
        for process in (self.first.process, self.second.process):
            process.start()
        _wait_for(lambda: "master_link_status:up" in self.second.command("INFO", "replication"), "the replica")
        for process in self.sentinels:
            process.start()
        _wait_for(self._is_watched, "the sentinels to find each other and the replica")
        # After the initial copy, the master sends newer writes only on the replica's first ACK, up to 1 s later.
        self.first.command("SET", "is-replicated", "yes")
        _wait_for(lambda: self.second.command("DBSIZE") == "1", "the replica to follow")
        self.first.command("FLUSHALL")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for process in (*self.sentinels, self.second.process, self.first.process):
            process.close()

    @property
    def url(self) -> str:
        """The sentinels and the service's name, in the format of `LOCATION`."""
        return "redis+sentinel://" + ",".join(map("{}:{}".format, self.hosts, self.ports)) + f"/{self.service}"

    def master_port(self) -> int:
        """Return the port of the master according to the first sentinel."""
        return int(self._master(0)[1])

    def fail_over(self) -> None:
        """Kill the master and wait until all sentinels report the other server as the master."""
        self.first.process.kill()
        for number in range(3):
            _wait_for(partial(self._is_replaced, number), "the sentinels to name the new master")

    def _master(self, number: int) -> list[str]:
        words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        return command(self.ports[number], *words, host=self.hosts[number]).split()

    def switch(self) -> None:
        """Start a manual failover to the replica, as before maintenance; return when it has begun."""
        words = ("SENTINEL", "FAILOVER", self.service)
        _wait_for(lambda: command(self.ports[0], *words, host=self.hosts[0]) == "OK", "the sentinels to agree")

    def _sentinel(self, number: int, place: Place, down_after: float) -> ServerProcess:
        host, port, name = self.hosts[number], self.ports[number], f"sentinel {{}} {self.service}".format

        def prepare(folder: Path) -> None:
            lines = [f"port {port}", f"bind {host}", "protected-mode no", f"dir {folder}"]
            lines += [f"sentinel myid {port:040x}", f"{name('monitor')} {self.first.host} {self.first.port} 2"]
            lines += [f"{name('down-after-milliseconds')} {down_after * 1000:.0f}", f"{name('failover-timeout')} 3000"]
            # A sentinel would write these lines itself, after seconds of discovery.
            lines += [f"{name('known-replica')} {self.second.host} {self.second.port}"]
            lines += [
                f"{name('known-sentinel')} {other_host} {other} {other:040x}"
                for other_host, other in zip(self.hosts, self.ports, strict=True)
                if other != port
            ]
            (folder / "sentinel.conf").write_text("\n".join([*lines, ""]), encoding="utf-8")

        return ServerProcess(
            "sentinel",
            lambda folder: [binary("redis-server"), str(folder / "sentinel.conf"), "--sentinel"],
            lambda: command(port, "PING", host=host) == "PONG",
            prepare=prepare,
            place=place,
        )

    def _is_replaced(self, number: int) -> bool:
        return str(self.second.port) in self._master(number)

    def _is_watched(self) -> bool:
        words = ("SENTINEL", "MASTER", self.service)
        known = [command(port, *words, host=host).split() for port, host in zip(self.ports, self.hosts, strict=True)]
        return all(_value(info, "num-slaves") == "1" and _value(info, "num-other-sentinels") == "2" for info in known)


def _value(words: list[str], name: str) -> str:
    return words[words.index(name) + 1] if name in words else ""


def _wait_for(is_so: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    try:
        wait_until(is_so, seconds)
    except TimeoutError:
        raise RuntimeError(f"waited {seconds} s for {what}") from None
