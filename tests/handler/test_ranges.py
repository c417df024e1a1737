"""Parts of files."""

from pathlib import Path

import pytest

from tests.handler.conftest import BIG, SMALL, OpenClient
from tests.handler.test_static_files import route
from tests.http.wire import Client


async def test_requests_behind_a_big_file_are_answered_in_order(open_client: OpenClient, folder: Path) -> None:
    client = await open_client([route(folder)])
    async with await Client.connect(("127.0.0.1", client.port)) as wire:
        one = b"GET /s/%b HTTP/1.1\r\nHost: a\r\n\r\n"
        wire.send(one % b"big.bin" + one % b"a.txt" + one % b"big.bin" + one % b"nothing")
        answers = [await wire.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 404]
    assert [answer.body for answer in answers[:3]] == [BIG, SMALL, BIG]


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-", (0, None)), ("bytes=5-9", (5, 10)), ("bytes=-7", (-7, None)),
        ("bytes=2999999-", (2_999_999, None)),
        ("bytes=1000000-9999999", (1_000_000, None)), ("bytes=0-0", (0, 1)), ("bytes=-99999999", (0, None)),
        ("bytes=5-9,20-29", (0, None)), ("lines=1-2", (0, None)), ("bytes=+5-9", (0, None)), ("bytes=5", (0, None)),
        ("bytes=3000000-", None), ("bytes=-0", None), ("bytes=9-5", None),
    ],
)  # fmt: skip
async def test_ranges_of_big_files(
    open_client: OpenClient, folder: Path, asked: str, span: tuple[int, int | None] | None
) -> None:
    client = await open_client([route(folder)])
    response = await client.get("/s/big.bin", headers={"Range": asked})
    if span is None:
        assert response.status_code == 416
        assert response.headers["content-range"] == f"bytes */{len(BIG)}"
        return
    wanted = BIG[span[0] : span[1]]
    assert response.content == wanted
    assert response.status_code == (200 if wanted == BIG else 206)
    assert response.headers["content-length"] == str(len(wanted))


@pytest.mark.parametrize("name", ["a.txt", "big.bin"])
async def test_a_range_that_is_given_twice_is_ignored(open_client: OpenClient, folder: Path, name: str) -> None:
    client = await open_client([route(folder)])
    for asked in (["bytes=0-1", "bytes=3-4"], ["bytes=0-1", "bytes=0-1"], ["bytes=0-1", "lines=3-4"]):
        response = await client.get(f"/s/{name}", headers=[("Range", each) for each in asked])
        assert (response.status_code, response.content) == (200, (folder / name).read_bytes())
