"""Who may open the page."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from thinkgraph.serve.page.door import Door

TOKEN = "a-token-of-the-test"


@pytest.fixture
def client() -> TestClient:
    async def hello(request: object) -> PlainTextResponse:
        return PlainTextResponse("in")

    app = Starlette(
        routes=[Route("/{rest:path}", hello, methods=["GET", "POST"])],
    )
    return TestClient(Door(app, TOKEN), base_url="http://127.0.0.1:8080")


def test_the_token_in_the_address_is_exchanged_for_a_cookie(client: TestClient) -> None:
    assert client.get("/page/runs").status_code == 401
    entered = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert client.get("/page/runs").text == "in"


def test_the_token_can_be_entered_by_hand(client: TestClient) -> None:
    asked = client.get("/")
    assert asked.status_code == 401
    assert 'name="token"' in asked.text
    wrong = client.post("/page/enter", data={"token": "<b>wrong"}, follow_redirects=False)
    assert wrong.status_code == 401
    assert "<b>wrong" not in wrong.text
    assert client.post("/page/enter", data={"token": TOKEN}).text == "in"


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", "é"])
def test_another_token_opens_nothing(client: TestClient, token: str) -> None:
    assert client.get("/", params={"token": token}).status_code == 401
    headers = {"authorization": f"Bearer {token}".encode()}
    assert client.get("/page/runs", headers=headers).status_code == 401


def test_a_program_sends_the_token_as_a_header(client: TestClient) -> None:
    assert client.get("/page/runs", headers={"authorization": f"Bearer {TOKEN}"}).text == "in"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_leads_here_is_refused(client: TestClient, host: str) -> None:
    client.get(f"/?token={TOKEN}")
    assert client.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_the_names_of_this_machine_are_not(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 401  # it asks for the token


def test_another_sites_page_can_change_nothing(client: TestClient) -> None:
    client.get(f"/?token={TOKEN}")
    own = {"origin": "http://127.0.0.1:8080"}
    assert client.post("/page/runs", headers=own).text == "in"
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:9090",
        "https://127.0.0.1:8080",
    ):
        assert client.post("/page/runs", headers={"origin": origin}).status_code == 403


def test_an_address_with_a_token_leads_nowhere_else(client: TestClient) -> None:
    found = client.get(f"//evil.example/?token={TOKEN}", follow_redirects=False)
    assert found.headers.get("location", "/") == "/"


def test_no_script_but_the_pages_own_may_run(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
