"""Compressed answers."""

from pathlib import Path

from tests.handler.conftest import BIG, SMALL, OpenClient
from tests.handler.test_static_files import route


async def test_a_packed_file_is_not_compressed_again(open_client: OpenClient, packed: Path) -> None:
    client = await open_client([route(packed)], compress_response=True)
    response = await client.get("/s/a.txt", headers={"Accept-Encoding": "gzip"})
    assert response.content == SMALL
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.headers["content-length"] == str((packed / "a.txt.gz").stat().st_size)
    assert (await client.get("/s/big.bin", headers={"Accept-Encoding": "gzip"})).content == BIG
