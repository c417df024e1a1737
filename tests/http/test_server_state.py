"""What the connections of one server share: clock and list."""

from tests.http.conftest import Start
from tests.http.test_protocol import hello
from tests.http.test_server import Slow
from tests.http.wire import Direct, get
from tests.polling import until


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
