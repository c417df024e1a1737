"""The page and the API; `client` comes from torngas_aio's pytest plugin."""

from torngas_aio.testing import TestClient


async def test_the_page_is_rendered(client: TestClient) -> None:
    """The template has its title, and the middleware its header."""
    response = await client.get("/")
    assert response.status_code == 200
    assert "<h1>__project__</h1>" in response.text
    assert response.headers["Server-Timing"].startswith("app;dur=")
    assert "Cache-Control" not in response.headers


async def test_the_api_greets(client: TestClient) -> None:
    """The response is JSON that must not be cached."""
    response = await client.get("/api/hello/ada")
    assert response.json() == {"hello": "ada"}
    assert response.headers["Cache-Control"] == "no-store"


async def test_an_unknown_page_is_a_404(client: TestClient) -> None:
    """The static files are served, what is not there is not."""
    assert (await client.get("/static/css/site.css")).status_code == 200
    assert (await client.get("/nowhere")).status_code == 404
