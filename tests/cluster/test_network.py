"""The laboratory's network does what its tests rely on."""

import socket

import pytest

from tests.cluster.network import Network
from tests.cluster.services import place_on
from tests.services.redis import RedisServer

pytestmark = [pytest.mark.timeout(60), pytest.mark.redis]


def test_a_host_that_is_cut_off_neither_answers_nor_refuses(network: Network) -> None:
    host = network.add("redis")
    with RedisServer(place=place_on(host)) as redis:
        assert redis.command("PING") == "PONG"
        host.cut_off()
        with pytest.raises(TimeoutError):
            socket.create_connection((redis.host, redis.port), timeout=0.3)
        host.heal()
        assert redis.command("PING") == "PONG"


def test_two_hosts_can_be_cut_off_from_each_other_alone(network: Network) -> None:
    one, other = network.add("one"), network.add("other")
    with RedisServer(place=place_on(one)) as redis, RedisServer(place=place_on(other)) as second:
        one.cut_off_from(other)
        assert second.command("PING") == redis.command("PING") == "PONG"
        second.command("REPLICAOF", redis.host, str(redis.port))
        assert "master_link_status:down" in second.command("INFO", "replication")
        one.heal_to(other)


def test_what_was_made_is_gone_at_the_end() -> None:
    with Network() as network:
        network.add("host")
        name = network.name
    names = [name for _, name in socket.if_nameindex()]
    assert not any(each.startswith(name) for each in names)
