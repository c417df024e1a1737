"""What the connections of one server share: clock and list."""

import asyncio

from tests.http.conftest import Start
from tests.http.test_protocol import hello
from tests.http.test_server import Slow
from tests.http.wire import Direct, get
from tests.polling import until
from torngas_aio.http.server_state import ServerState


async def test_close_all_connections(start: Start) -> None:
    application = Slow()
    served = await start(application)
    async with await served.client() as client, await served.client() as idle:
        client.send(get())
        await application.asked()
        await served.server.close_all_connections()
        assert await client.rest() == b""
        assert await idle.rest() == b""
        application.gate.set()
    assert (await served.ask(get("/next"))).body == b"/next"


async def test_the_clock_stands_still_without_connections(start: Start) -> None:
    served = await start(Direct(hello), header_timeout=0.1)
    await served.ask(get())
    server_state = served.server.server_state
    await until(lambda: server_state._timer is None)
    assert (await served.ask(get())).status == 200
    assert server_state._timer is not None


class Silent:
    """A connection that notes when it is checked."""

    is_idle = True

    def __init__(self, server_state: ServerState, checked: "list[Silent]") -> None:
        self.server_state = server_state
        self.checked = checked

    def check(self, now: float) -> None:
        self.checked.append(self)

    def close(self) -> None:
        self.server_state.remove(self)

    cut = close


async def test_a_sweep_of_many_connections_leaves_turns_to_requests(start: Start) -> None:
    server_state = (await start(Direct(hello), header_timeout=0.1)).server.server_state
    checked: list[Silent] = []
    many = [Silent(server_state, checked) for _ in range(2_000)]
    for each in many:
        server_state.add(each)
    while not checked:
        await asyncio.sleep(0)
    first = set(checked)
    assert len(first) < len(many) / 2
    for each in set(many) - first:
        each.close()
    await until(lambda: len(checked) >= 2 * len(first))  # the next sweep
    assert set(checked) == first
    for each in first:
        each.close()


async def test_a_check_that_fails_does_not_end_the_deadlines(start: Start) -> None:
    server_state = (await start(Direct(hello), header_timeout=0.1)).server.server_state
    checked: list[Silent] = []

    class Broken(Silent):
        def check(self, now: float) -> None:
            super().check(now)
            raise RuntimeError("broken")

    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    broken = Broken(server_state, checked)
    server_state.add(broken)
    await until(lambda: len(checked) >= 2)
    assert {str(error) for error in reported} == {"broken"}
    broken.close()
