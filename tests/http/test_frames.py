"""WebSocket messages from bytes: what RFC 6455 asks of a server, and the same answers as `websockets` gives."""

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.util import _websocket_mask
from websockets.frames import Opcode
from websockets.protocol import SERVER, Protocol, State

from torngas_aio.http.deflate import Deflate, ProtocolError
from torngas_aio.http.frames import BINARY, CLOSE, PING, PONG, TEXT, UNFINISHED, MessageReader, close_frame, frame_of

LIMIT = 100_000


def client_frame(opcode: int, payload: bytes = b"", *, first: int = 0x80, is_masked: bool = True) -> bytes:
    """Return a client's frame; *first* holds the bits beside the opcode."""
    size = len(payload)
    bit = 0x80 if is_masked else 0
    if size < 126:
        head = bytes((first | opcode, bit | size))
    elif size < 0x10000:
        head = bytes((first | opcode, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first | opcode, bit | 127)) + size.to_bytes(8, "big")
    if not is_masked:
        return head + payload
    mask = b"\x12\x34\x56\x78"  # fixed: frames are parts of test names
    return head + mask + _websocket_mask(mask, payload)


def messages_of(reader: MessageReader, pieces: list[bytes]) -> Iterator[Any]:
    """Yield the messages of *pieces*, then the code of the error that ended them, if any."""
    try:
        for piece in pieces:
            reader.feed(piece)
            while (message := reader.next()) is not None:
                if message is not UNFINISHED:
                    yield message
    except ProtocolError as exc:
        yield exc.code


def read(*pieces: bytes, deflate: Deflate | None = None) -> list[Any]:
    return list(messages_of(MessageReader(LIMIT, deflate), list(pieces)))


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("split", [lambda data: [data], one_by_one], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_messages_of_every_length(size: int, split: Any) -> None:
    data = os.urandom(size)
    text = "é" * (size // 2)
    stream = client_frame(TEXT, text.encode()) + client_frame(BINARY, data)
    assert read(*split(stream)) == [(TEXT, text), (BINARY, data)]


@pytest.mark.parametrize("split", [lambda data: [data], one_by_one], ids=["whole", "byte by byte"])
def test_fragments_with_control_frames_between_them(split: Any) -> None:
    stream = (
        client_frame(TEXT, "gr\u00fc".encode()[:3], first=0)
        + client_frame(PING, b"still there?")
        + client_frame(0, "\u00fc".encode()[1:], first=0)
        + client_frame(PONG)
        + client_frame(0, b"", first=0)
        + client_frame(0, b"n", first=0x80)
    )
    assert read(*split(stream)) == [(PING, b"still there?"), (PONG, b""), (TEXT, "grün")]


BROKEN = {
    "unmasked": (client_frame(TEXT, b"hi", is_masked=False), 1002),
    "unmasked control": (client_frame(PING, b"hi", is_masked=False), 1002),
    "unmasked close": (client_frame(CLOSE, b"", is_masked=False), 1002),
    "reserved bit 1 without an extension": (client_frame(TEXT, b"hi", first=0xC0), 1002),
    "reserved bit 2": (client_frame(TEXT, b"hi", first=0xA0), 1002),
    "reserved bit 3": (client_frame(BINARY, b"hi", first=0x90), 1002),
    "reserved bit in a ping": (client_frame(PING, b"hi", first=0xC0), 1002),
    **{f"opcode {code}": (client_frame(code, b"hi"), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "fragmented ping": (client_frame(PING, b"hi", first=0), 1002),
    "long ping": (client_frame(PING, b"x" * 126), 1002),
    "long close": (client_frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "continuation of nothing": (client_frame(0, b"hi"), 1002),
    "a message within a message": (client_frame(TEXT, b"a", first=0) + client_frame(TEXT, b"b"), 1002),
    "close with one byte": (client_frame(CLOSE, b"\x03"), 1002),
    "close reason that is not UTF-8": (client_frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "text that is not UTF-8": (client_frame(TEXT, b"\xff"), 1007),
    "text that ends within a character": (client_frame(TEXT, b"a\xc3"), 1007),
    "surrogate": (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "fragments that are not UTF-8": (client_frame(TEXT, b"\xc3", first=0) + client_frame(0, b"\xc3"), 1007),
    "too large": (client_frame(BINARY, b"x" * (LIMIT + 1)), 1009),
    "too large in fragments": (client_frame(BINARY, b"x" * LIMIT, first=0) + client_frame(0, b"x"), 1009),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("split", [lambda data: [data], one_by_one], ids=["whole", "byte by byte"])
def test_a_broken_protocol_ends_with_a_code(name: str, split: Any) -> None:
    data, code = BROKEN[name]
    if len(data) > 1000 and split is one_by_one:
        data = data[:200]  # the header tells enough
    good = client_frame(TEXT, b"before")
    found = read(*split(good + data))
    assert found[0] == (TEXT, "before")
    if name != "too large in fragments" or split is not one_by_one:
        assert found[-1] == code


def test_a_bad_byte_is_refused_before_its_frame_is_complete() -> None:
    """Autobahn 6.4: fail as soon as the text cannot become UTF-8 any more."""
    frame = client_frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80" + b"x" * 1000)
    assert read(frame[:20]) == [1007]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])
def test_close_codes_that_may_be_used(code: int) -> None:
    payload = code.to_bytes(2, "big")
    assert read(client_frame(CLOSE, payload + b"bye")) == [(CLOSE, (code, "bye"))]
    assert close_frame(code, "bye") == frame_of(CLOSE, payload + b"bye")


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_close_codes_that_may_not_be_used(code: int) -> None:
    assert read(client_frame(CLOSE, code.to_bytes(2, "big"))) == [1002]
    with pytest.raises(ValueError, match=f"code {code}"):
        close_frame(code)


def test_a_close_frame_without_a_code() -> None:
    assert read(client_frame(CLOSE)) == [(CLOSE, (None, None))]
    assert close_frame() == b"\x88\x00"
    assert close_frame(reason="bye") == close_frame(1000, "bye")
    with pytest.raises(ValueError, match="123 bytes"):
        close_frame(1000, "x" * 124)


def test_a_ping_between_the_fragments_of_a_compressed_message() -> None:
    packed = Deflate(6, 8, 15, resets_sent=False, resets_received=False).compress(b"Hello" * 50)
    stream = (
        client_frame(TEXT, packed[:3], first=0x40) + client_frame(PING, b"x") + client_frame(0, packed[3:], first=0x80)
    )
    deflate = Deflate(6, 8, 15, resets_sent=False, resets_received=False)
    assert read(*one_by_one(stream), deflate=deflate) == [(PING, b"x"), (TEXT, "Hello" * 50)]


def test_a_compressed_bit_on_a_later_fragment_is_an_error() -> None:
    deflate = Deflate(6, 8, 15, resets_sent=False, resets_received=False)
    stream = client_frame(TEXT, b"a", first=0) + client_frame(0, b"b", first=0xC0)
    assert read(stream, deflate=deflate) == [1002]


def reference(data: bytes) -> list[Any]:
    """Return what `websockets` makes of *data*: messages, then the code it would close with."""
    protocol = Protocol(SERVER, state=State.OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    found: list[Any] = []
    parts: list[bytes] = []
    opcode = None
    frames: list[Any] = list(protocol.events_received())
    for frame in frames:
        payload = bytes(frame.data)
        if frame.opcode in (Opcode.CONT, Opcode.TEXT, Opcode.BINARY):
            opcode = opcode if frame.opcode == Opcode.CONT else frame.opcode
            parts.append(payload)
            if frame.fin:
                whole, parts = b"".join(parts), []
                try:
                    found.append((TEXT, whole.decode()) if opcode == Opcode.TEXT else (BINARY, whole))
                except UnicodeDecodeError:
                    return [*found, 1007]
        elif frame.opcode == Opcode.CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else None
            return [*found, (CLOSE, (code, payload[2:].decode() or None))]
        else:
            found.append((int(frame.opcode), payload))
    if str(protocol.parser_exc) == "incomplete fragmented message":  # stricter than RFC 6455 5.4
        found.append(CLOSE)
    elif protocol.parser_exc is not None:
        assert protocol.close_sent is not None
        found.append(protocol.close_sent.code)
    return found


def random_stream(chance: random.Random) -> bytes:
    """Return a few frames, most of them good, in an order that is often good."""
    stream = b""
    for _ in range(chance.randrange(1, 7)):
        opcode = chance.choice([0, 0, 1, 1, 1, 2, 2, 8, 9, 10, chance.randrange(16)])
        first = chance.choice([0x80, 0x80, 0x80, 0, 0, chance.randrange(256) & 0xF0])
        size = chance.choice([0, 1, 2, 3, 5, 124, 125, 126, 127, 300, 70_000 if chance.random() < 0.02 else 10])
        payload = chance.choice([b"x" * size, ("é€😀" * size).encode()[:size], chance.randbytes(size)])
        if opcode == 8 and chance.random() < 0.8:
            payload = chance.choice([1000, 1001, 1005, 1015, 3000, 999, 1012, 5000]).to_bytes(2, "big") + payload[:100]
        stream += client_frame(opcode, payload, first=first, is_masked=chance.random() < 0.97)
    if chance.random() < 0.2:
        at = chance.randrange(len(stream))
        stream = stream[:at] + bytes((chance.randrange(256),)) + stream[at + 1 :]
    return stream[: chance.randrange(len(stream))] if chance.random() < 0.2 else stream


def compare(chance: random.Random) -> None:
    stream = random_stream(chance)
    expected = reference(stream)
    cuts = sorted(chance.randrange(len(stream) + 1) for _ in range(chance.randrange(5)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found: list[Any] = []
    for message in messages_of(MessageReader(LIMIT), pieces):
        found.append(message)
        if isinstance(message, tuple) and message[0] == CLOSE:
            break
    is_early = found and isinstance(found[-1], int) and found[:-1] == expected[: len(found) - 1]
    if is_early and (found[-1] == 1007 or expected[len(found) - 1 :] == []):
        return  # a bad text or header is refused before the frame is complete, there only after it
    if expected[-1:] == [CLOSE] and len(found) == len(expected):
        expected[-1] = found[-1]
        assert found[-1] in (1002, 1007) or found[-1][0] == CLOSE
    if found and expected and {found[-1], expected[-1]} in ({1002, 1007}, {1002, 1009}):
        expected[-1] = found[-1]  # a frame with two faults: either may be named
    assert found == expected, stream


@pytest.mark.parametrize("seed", range(8))
def test_the_same_as_websockets(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(250):
        compare(chance)


@pytest.mark.slow
def test_the_same_as_websockets_on_300_000_streams() -> None:
    chance = random.Random(2026)
    for _ in range(300_000):
        compare(chance)
