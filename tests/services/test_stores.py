"""The stores' servers and the proxy: they start, respond, fail over, and cut and stall on demand."""

import asyncio
import socket

import pytest

from tests.services.memcached import MemcachedServer
from tests.services.process import HOST
from tests.services.proxy import Proxy
from tests.services.redis import RedisCluster, RedisSentinels, RedisServer


@pytest.mark.redis
def test_redis_answers_on_port_unix_socket_and_tls() -> None:
    with RedisServer(unix_socket=True, tls=True, requirepass="secret") as server:
        assert server.command("SET", "a", "1") == "OK"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(server.socket_path)
        with socket.create_connection((HOST, server.tls_port)):
            pass
        server.process.restart()
        assert server.command("GET", "a") == ""


@pytest.mark.redis
def test_a_cluster_covers_every_slot() -> None:
    with RedisCluster() as cluster:
        assert "cluster_slots_ok:16384" in cluster.nodes[2].command("CLUSTER", "INFO")


@pytest.mark.redis
def test_sentinels_replace_a_dead_master() -> None:
    with RedisSentinels() as watched:
        assert watched.master_port() == watched.first.port
        watched.fail_over()
        assert watched.master_port() == watched.second.port


@pytest.mark.memcached
def test_memcached_answers_on_port_and_unix_socket() -> None:
    with MemcachedServer() as server, MemcachedServer(unix_socket=True) as local:
        assert server.command("version").startswith("VERSION")
        assert local.command("version").startswith("VERSION")


@pytest.mark.redis
async def test_the_proxy_cuts_in_the_middle_of_an_answer_and_counts() -> None:
    with RedisServer() as server:
        async with Proxy(server.port) as proxy:
            proxy.cut_after(3)
            reader, writer = await asyncio.open_connection(HOST, proxy.port)
            writer.write(b"PING\r\n")
            assert await reader.readexactly(3) == b"+PO"
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            assert (proxy.sent, proxy.received, proxy.connections) == (6, 3, 1)


@pytest.mark.redis
async def test_the_proxy_holds_answers_back_until_told() -> None:
    with RedisServer() as server:
        async with Proxy(server.port) as proxy:
            proxy.stall()
            reader, writer = await asyncio.open_connection(HOST, proxy.port)
            writer.write(b"PING\r\n")
            await proxy.wait_for_sent(6)
            assert proxy.received == 0
            proxy.flow()
            proxy.slow(0.001, 1)
            assert await reader.readexactly(7) == b"+PONG\r\n"
            writer.close()
