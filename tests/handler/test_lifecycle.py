"""The states of a response: every transition of the table, legal and not, as docs/internals.md draws it."""

import asyncio
import itertools
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from tornado.web import HTTPError

from tests.handler.conftest import OpenClient
from tests.polling import until
from torngas_aio.handler import WebHandler, lifecycle
from torngas_aio.handler.lifecycle import TRANSITIONS, Event, IllegalTransition, ResponseState
from torngas_aio.middleware import BaseMiddleware

INTERNALS = Path(__file__).parent.parent.parent / "docs" / "internals.md"
TOLD: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    TOLD.clear()


def documented() -> dict[tuple[str, str], str]:
    """The state table of the documentation: (state, event) -> the state that follows, "" where none does."""
    text = INTERNALS.read_text(encoding="utf-8")
    table = text.partition("## The states of a response")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*\|$", table, re.MULTILINE)]
    head, _, *body = rows
    return {(row[0], event): cell for row in body for event, cell in zip(head[1:], row[1:], strict=True)}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(ResponseState, get_args(Event))))
def test_each_transition_is_the_documented_one(state: ResponseState, event: Event) -> None:
    following = documented()[state.name, event]
    if following:
        assert state.after[event] is TRANSITIONS[event][state] is ResponseState[following]
    else:
        with pytest.raises(IllegalTransition, match=f"'{event}' cannot happen to a response that is {state.label}"):
            state.after[event]


def test_the_documentation_has_no_other_states_and_events() -> None:
    known = set(itertools.product(ResponseState.__members__, get_args(Event)))
    assert set(documented()) == known, "make the table of states in docs/internals.md agree with handler/lifecycle.py"
    assert set(TRANSITIONS) == set(get_args(Event))
    assert {getattr(lifecycle, name) for name in ResponseState.__members__} == set(ResponseState)


def test_every_state_can_be_reached_and_left() -> None:
    steps = {(state, state.after[event]) for event, moves in TRANSITIONS.items() for state in moves}
    reached = {ResponseState.OPEN}
    while new := {after for before, after in steps if before in reached} - reached:
        reached |= new
    assert reached == set(ResponseState)
    assert {before for before, after in steps if before is not after} == set(ResponseState) - {ResponseState.ENDED}


@pytest.mark.parametrize("state", ResponseState)
def test_the_facts_of_a_state_fit_together(state: ResponseState) -> None:
    assert not state.is_sent or (state.is_finished and state.has_head)
    assert state.has_head == (state in {ResponseState.STREAMING, ResponseState.SENT, ResponseState.ENDED})
    for event in ("send", "release", "begin"):  # a head that has left stays so, and so does what ends the response
        if state in TRANSITIONS[event]:
            assert state.after[event].has_head
    assert all(moves[state].has_head for moves in TRANSITIONS.values() if state.has_head and state in moves)


# ---------------------------------------------------------------- seen from outside


class Hooks(BaseMiddleware):
    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        TOLD.append("response")
        await handler.at_response()

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        TOLD.append("exception")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")


class Page(WebHandler):
    async def at_response(self) -> None: ...


async def told(*wanted: str) -> None:
    await until(lambda: TOLD[-len(wanted) :] == list(wanted))


class Walks(Page):
    """Notes its state, and what Tornado's attributes say, on its way."""

    def note(self, place: str) -> None:
        TOLD.append(f"{place} {self._response_state.label} {self._finished:d}{self._headers_written:d}")

    async def at_response(self) -> None:
        self.note("in response")

    async def get(self) -> None:
        self.note("begin")
        if self.get_argument("flush", None):
            self.flush()
            self.note("flushed")
            await self.flush()
            self.note("awaited")
        completion = self.finish("x")
        self.note("finished")
        await completion
        self.note("awaited")


async def test_a_whole_response_walks_through_its_states(open_client: OpenClient) -> None:
    client = await open_client([("/", Walks)], (Hooks,))
    assert (await client.get("/")).text == "x"
    await told("awaited ended 11")
    assert TOLD == ["begin open 00", "finished settled 10", "response", "in response settled 10", "endcall", TOLD[-1]]


async def test_a_stream_walks_through_its_states(open_client: OpenClient) -> None:
    client = await open_client([("/", Walks)], (Hooks,))
    assert (await client.get("/?flush=1")).text == "x"
    await told("awaited ended 11")
    assert TOLD == [
        "begin open 00", "flushed flushing 00", "response", "in response flushing 00", "awaited streaming 01",
        "finished sent 11", "endcall", "awaited ended 11",
    ]  # fmt: skip


async def test_without_hooks_a_finished_response_has_ended_at_once(open_client: OpenClient) -> None:
    client = await open_client([("/", Walks)])
    assert (await client.get("/")).text == "x"
    assert TOLD == ["begin open 00", "finished ended 11", "awaited ended 11"]


class AnswersEarly(Page):
    async def at_response(self) -> None:
        self.set_status(403)
        self.finish("from the hook")

    async def get(self) -> None:
        await self.complete_response_stage()


async def test_what_a_hook_finishes_before_anything_is_sent_is_sent(open_client: OpenClient) -> None:
    client = await open_client([("/", AnswersEarly)], (Hooks,))
    answer = await client.get("/")
    assert (answer.status_code, answer.text) == (403, "from the hook")
    await told("response", "endcall")


class SpoilsItsStream(Page):
    async def get(self) -> None:
        self.write("begun")
        await self.flush()
        self.send_error(500)


class SpoilsItsErrorPage(Page):
    async def get(self) -> None:
        raise HTTPError(400)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.write("begun")
        self.flush()
        raise ZeroDivisionError


class Ends(BaseMiddleware):
    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")


@pytest.mark.parametrize("middleware", [Hooks, Ends])
@pytest.mark.parametrize("handler", [SpoilsItsStream, SpoilsItsErrorPage])
async def test_a_stream_that_cannot_be_kept_is_cut_and_ends(
    open_client: OpenClient, handler: type[Page], middleware: type[BaseMiddleware]
) -> None:
    client = await open_client([("/", handler)], (middleware,))
    if (handler, middleware) == (SpoilsItsErrorPage, Hooks):  # hooks come before the first byte: nothing had left
        assert (await client.get("/")).text == "400 Bad Request\n"
    else:
        with pytest.raises(Exception, match=r"(?i)incomplete|closed|disconnect"):
            await client.get("/")
    await told("endcall")
    assert TOLD.count("endcall") == 1


class Interrupted(Page):
    """Its first flush, or its finish, is cancelled in a hook, and the method goes on."""

    async def at_response(self) -> None:
        await asyncio.Event().wait()

    async def get(self, name: str) -> None:
        try:
            async with asyncio.timeout(0.02):
                await getattr(self, name)()
        except TimeoutError:
            if self.get_argument("again", None):
                self.finish("promised")


@pytest.mark.parametrize("name", ["flush", "finish", "complete_response_stage"])
@pytest.mark.parametrize("query", ["", "?again=1"])
async def test_an_interrupted_completion_is_answered_500(open_client: OpenClient, name: str, query: str) -> None:
    client = await open_client([("/(.*)", Interrupted)], (Hooks,))
    answer = await client.get(f"/{name}{query}")
    assert (answer.status_code, "promised" in answer.text) == (500, False)
    assert "completion was cancelled" in str(client.errors[0])
    await told("response", "exception", "endcall")


class TakesOver(Page):
    """Does as Tornado's FallbackHandler: answers by itself, and says so."""

    async def get(self) -> None:
        self.request.connection.respond(200, "OK", (), b"own", False)
        self._finished = True


async def test_code_that_answers_by_itself_may_say_so(open_client: OpenClient) -> None:
    client = await open_client([("/", TakesOver)], (Hooks,))
    assert (await client.get("/")).text == "own"
    await told("endcall")
    assert TOLD == ["endcall"]


class FailsBeside(Page):
    """Its flush is completed by a task beside the method, where the head cannot be made or a hook fails."""

    async def at_response(self) -> None:
        if self.get_argument("hook", None):
            raise ZeroDivisionError
        self._headers["X-Two"] = "li\nes"  # past `set_header`, which refuses it

    async def get(self) -> None:
        self.write("promised")
        self.flush()
        for _ in range(3):
            await asyncio.sleep(0.005)


class SlowToHear(Hooks):
    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        TOLD.append("exception")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("query", ["", "?hook=1"])
async def test_a_flush_that_fails_beside_the_method_is_answered_500_once(
    open_client: OpenClient, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await open_client([("/", FailsBeside)], (SlowToHear,))
    answer = await client.get(f"/{query}")
    assert (answer.status_code, "promised" in answer.text) == (500, False)
    await told("endcall")
    assert TOLD == ["response", "exception", "endcall"]
    assert caplog.text.count("Completing a response failed") == (0 if query else 1)
