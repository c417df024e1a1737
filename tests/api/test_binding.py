"""Declared parameters, bodies and outputs, asked over a socket."""

import pytest

from tests.api.conftest import Tasks
from torngas_aio.testing import TestClient


async def test_parameters_are_read_and_converted(client: TestClient) -> None:
    answer = await client.get("/p/7/tasks?page=2&state=open&tag=a&tag=b&page-size=5", headers={"Cookie": "theme=dark"})
    assert answer.json()["seen"] == [7, 2, "OPEN", ["a", "b"], 5, True, "dark"]
    assert (await client.get("/p/7/tasks")).json()["seen"] == [7, 1, None, [], 20, True, "light"]


async def test_named_groups_go_by_name(client: TestClient) -> None:
    key = "12345678-1234-5678-1234-567812345678"
    assert (await client.get(f"/named/2026-11-28/{key}")).json() == {"key": key, "date": "2026-11-28"}
    problem = (await client.get("/named/today/7")).json()
    assert [(each["in"], each["path"], each["code"]) for each in problem["errors"]] == [
        ("path", "date", "format"),
        ("path", "key", "format"),
    ]


async def test_every_fault_is_told_at_once(client: TestClient) -> None:
    answer = await client.get("/p/x/tasks?page=b&state=gone&page-size=101")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [(each["in"], each["path"], each["code"], each["message"]) for each in answer.json()["errors"]] == [
        ("path", "project", "type", "This must be of type int."),
        ("query", "page", "type", "This must be of type int."),
        ("query", "state", "choice", "This is none of the allowed values."),
        ("query", "page-size", "max", "This must be at most 100."),
    ]


async def test_every_fault_of_a_body_is_told(client: TestClient) -> None:
    body = {"title": "", "items": [{"price": 1, "name": "x"}, {"price": -1}, {"price": "a", "name": 3}], "x": 1}
    answer = await client.post("/p/1/tasks", json=body)
    assert answer.status_code == 422
    assert {(each["path"], each["code"]) for each in answer.json()["errors"]} == {
        ("title", "min_length"),
        ("items.1.name", "missing"),
        ("items.1.price", "min"),
        ("items.2.price", "type"),
        ("items.2.name", "type"),
        ("x", "unknown"),
    }


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "body"),
        (b"", "application/json", 400, "empty"),
        (b'{"title": "\xff"}', "application/json", 400, "body"),
        (b"[" * 1000, "application/json", 400, "body"),
        (b'{"title": "x", "items": ' + b"[" * 101 + b"]" * 101 + b"}", "application/json", 400, "body"),
        (b'{"title": "x", "items": [' + b"{}," * 200_000 + b"{}]}", "application/json", 413, "too_large"),
        (b"\xef\xbb\xbf{}", "application/json", 422, "missing"),
        (b"[" * 500_000, "application/json", 413, "too_large"),
        (b'{"title": 1' + b"0" * 5000 + b"}", "application/json", 400, "body"),
        (b"title=x", "application/x-www-form-urlencoded", 415, "media_type"),
        (b"{}", "application/vnd.task+json", 422, "missing"),
        (b"null", "", 422, "type"),
        (b'{"title": "x", "items": [' + b"1," * 100_000 + b"1]}", "application/json", 422, "type"),
    ],
)
async def test_hostile_bodies_are_told_apart(
    client: TestClient, content: bytes, media_type: str, status: int, code: str
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await client.post("/p/1/tasks", content=content, headers=headers)
    assert answer.status_code == status
    errors = answer.json()["errors"]
    assert errors[0]["code"] == code
    assert len(errors) <= 100
    assert "torngas" not in answer.text
    assert "msgspec" not in answer.text


async def test_a_byte_order_mark_is_no_part_of_the_value(client: TestClient) -> None:
    answer = await client.post("/p/1/tasks", content=b'\xef\xbb\xbf{"title": "x", "due": "2026-01-02"}')
    assert answer.status_code == 201
    assert answer.json() == {"project": 1, "title": "x", "due": "2026-01-02"}


async def test_a_body_that_is_too_large_is_413(client: TestClient) -> None:
    answer = await client.post("/p/1/tasks", json={"title": "x" * Tasks.max_json_bytes})
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["code"] == "too_large"


@pytest.mark.parametrize("address", ["/p/1/tasks?state=%ff", "/forms?age=%ff&name=x", "/forms?name=%ed%a0%80"])
async def test_text_that_is_no_utf_8_is_400_and_no_other_fault(client: TestClient, address: str) -> None:
    answer = await client.get(address, headers={"Accept": "application/json"})
    assert answer.status_code == 400
    assert [each["code"] for each in answer.json()["errors"]] == ["encoding"]


@pytest.mark.parametrize(
    ("media_type", "content", "detail"),
    [
        ("application/x-www-form-urlencoded", b"a=1&" * 2000, "number of fields"),
        ("multipart/form-data", b"x", "boundary not found"),
        (
            "multipart/form-data; boundary=B",
            b"--B\r\nContent-Disposition: form-data; name=x\r\n\r\ny",
            "final boundary",
        ),
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: x\r\n\r\ny\r\n--B--\r\n", "not form-data"),
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: \xff\r\n\r\ny\r\n--B--\r\n", "not UTF-8"),
        (
            "multipart/form-data; boundary=B",
            b"--B\r\nContent-Disposition: form-data; name*=utf-8''%ff\r\n\r\ny\r\n--B--\r\n",
            "not in its charset",
        ),
    ],
)
async def test_a_form_that_cannot_be_parsed_says_why(
    client: TestClient, media_type: str, content: bytes, detail: str
) -> None:
    headers = {"Content-Type": media_type, "Accept": "application/json"}
    answer = await client.put("/forms", content=content, headers=headers)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]


async def test_forms_and_files(client: TestClient) -> None:
    filled = await client.post("/forms", data={"name": "ann", "roles": ["a", "b"], "age": "7"})
    assert filled.json() == {"name": "ann", "roles": ["a", "b"], "age": 7}
    wrong = await client.post("/forms", data={"age": "old"}, headers={"Accept": "application/json"})
    assert {(each["in"], each["path"], each["code"]) for each in wrong.json()["errors"]} == {
        ("form", "name", "missing"),
        ("form", "age", "type"),
    }
    sent = await client.put("/forms", files={"avatar": ("a.png", b"12345")}, data={"note": "hi"})
    assert sent.json() == {"name": "a.png", "size": 5, "note": "hi"}
    none = await client.put("/forms", data={"note": "hi"}, headers={"Accept": "application/json"})
    assert none.json()["errors"][0] | {"message": ""} == {
        "in": "file",
        "path": "avatar",
        "code": "missing",
        "message": "",
    }
    assert (await client.get("/forms?name=x&roles=1&roles=2")).json() == {"roles": ["1", "2"]}
