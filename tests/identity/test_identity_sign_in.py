"""Signing in and out: what a message must say, what a nonce and a token are good for, and for how long."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st
from identity_world import World, keys

from engine.server.identity import message
from engine.server.identity.callers import COOKIE, Callers
from engine.server.identity.message import parse, written
from engine.server.identity.signing_in import BURST, Limiter
from engine.server.identity.state import State
from engine.server.identity.tokens import Tokens
from engine.server.problem import Problem
from engine.server.settings import Settings


def test_key_gets_a_token_that_names_its_address(world: World, tmp_path: Path) -> None:
    (fresh,) = keys(tmp_path, 1)
    answer = world.enter(fresh)
    told = answer.get_json()
    assert answer.status_code == 200
    assert told["address"] == fresh.address
    assert told["audience"] == "public"
    assert answer.headers["Cache-Control"] == "no-store"
    me = world.ask("GET", "/api/me", token=told["token"]).get_json()
    assert (me["address"], me["nodeSigns"]) == (fresh.address, False)
    assert world.ask("GET", "/api/me").get_json() == {"address": "", "audience": "public"}


def test_signature_of_a_wallet_is_taken(world: World) -> None:
    account = Account.create()
    answer = world.ask("POST", "/api/sign-in/nonce", {"address": account.address})
    text = answer.get_json()["message"]
    signature = account.sign_message(encode_defunct(text=text)).signature.hex()
    answer = world.ask("POST", "/api/sign-in", {"message": text, "signature": signature})
    assert answer.status_code == 200
    assert answer.get_json()["address"] == account.address.lower()


def test_nonce_counts_once(world: World) -> None:
    text = world.invited(world.far)["message"]
    assert world.enter(world.far, text).status_code == 200
    again = world.enter(world.far, text)
    assert again.status_code == 401
    assert "used already" in again.get_json()["detail"]


def _hour(hours: float) -> str:
    return written(datetime.now(UTC) + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"domain": "evil.example"}, "domain"), ({"domain": "localhost:81"}, "domain"), ({"uri": "https://localhost/"}, "URI"),
        ({"uri": "http://evil.example/"}, "URI"), ({"chain": 5}, "Chain ID"), ({"scheme": "https"}, "scheme"),
        ({"issued": _hour(-1)}, "Issued At"), ({"issued": _hour(1)}, "Issued At"), ({"expires": _hour(-0.01)}, "Expiration Time"),
        ({"before": _hour(0.1)}, "Not Before"), ({"nonce": "abcdefgh12345678"}, "Nonce"), ({"nonce": "0" * 56}, "Nonce"),
    ],
)  # fmt: skip
def test_message_made_for_something_else_is_refused(world: World, change: dict[str, object], place: str) -> None:
    said = parse(world.invited(world.far)["message"])
    answer = world.enter(world.far, replace(said, **change).text)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.get_json()["place"] == place


def test_message_with_all_that_may_be_said_is_taken(world: World) -> None:
    said = replace(
        parse(world.invited(world.far)["message"]), scheme="http", statement=None, expires=_hour(0.01), before=_hour(-1),
        request="r-1", resources=("https://example.org/a",),
    )  # fmt: skip
    told = world.enter(world.far, said.text).get_json()
    assert told["expires"] == said.expires, "a session ends no later than its message says"


def test_signature_of_another_key_is_refused(world: World) -> None:
    text = world.invited(world.far)["message"]
    signature = world.other.sign(message.signed_digest(text)).hex()
    answer = world.ask("POST", "/api/sign-in", {"message": text, "signature": signature})
    assert answer.status_code == 401
    assert answer.get_json()["place"] == "signature"
    for wrong in ("0x", "zz", "00" * 65, "11" * 64 + "1f", "ab" * 500):
        assert world.ask("POST", "/api/sign-in", {"message": text, "signature": wrong}).status_code == 401, wrong
    assert world.enter(world.far, text).status_code == 200, "a failed try uses no nonce up"


def test_bodies_that_are_no_sign_in_are_refused(world: World) -> None:
    for data, status in (({}, 400), ({"message": 1, "signature": "x"}, 400), ("[]", 400), ("{", 400)):
        assert world.ask("POST", "/api/sign-in", data).status_code == status
    form = {"Content-Type": "text/plain"}
    assert world.ask("POST", "/api/sign-in", "{}", headers=form).status_code == 415, (
        "a form of another site sends no JSON"
    )
    assert world.ask("POST", "/api/sign-in/nonce", {"address": "0x12"}).status_code == 400
    assert world.ask("POST", "/api/sign-in", {"message": "x", "signature": "0x00"}).status_code == 401


def test_tries_are_limited_and_success_costs_nothing(world: World) -> None:
    peer = "127.0.0.77"
    for _ in range(int(BURST) + 5):
        assert world.enter(world.far, peer=peer).status_code == 200
    bad = {"message": "x", "signature": "0x00"}
    statuses = [world.ask("POST", "/api/sign-in", bad, peer=peer).status_code for _ in range(int(BURST) + 5)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    answer = world.enter(world.far, peer=peer)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert world.enter(world.far, peer="127.0.0.78").status_code == 200, "others are not held up"


def test_limiter_remembers_a_bounded_number_of_clients() -> None:
    limiter = Limiter(burst=1e9)
    for number in range(300):
        limiter.take(f"client {number}")
    assert len(limiter._seen) <= 300
    refused = 0
    for _ in range(1000):
        try:
            limiter.take("all together")
        except Problem:
            refused += 1
    assert refused > 500, "there is a limit for all together, too"


def test_signed_out_token_stops_at_once_for_every_process(world: World) -> None:
    token, kept = world.token(world.far), world.token(world.far)
    elsewhere = Callers(Settings(home=str(world.home)), world.kb.call)
    for each in (token, kept):
        assert elsewhere.of({"authorization": f"Bearer {each}"}, "127.0.0.1").address == world.far.address
    assert world.ask("POST", "/api/sign-out", token=token).status_code == 204
    for answer in (world.ask("GET", "/api/me", token=token), world.ask("POST", "/api/sign-out", token=token)):
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    with pytest.raises(Problem, match="signed out") as refused:
        elsewhere.of({"authorization": f"Bearer {token}"}, "127.0.0.1")
    assert refused.value.status == 401
    assert elsewhere.of({"authorization": f"Bearer {kept}"}, "127.0.0.1").signed_in
    assert world.ask("POST", "/api/sign-out", {"everywhere": True}, token=kept).status_code == 204
    with pytest.raises(Problem):
        elsewhere.of({"authorization": f"Bearer {kept}"}, "127.0.0.1")
    assert world.ask("POST", "/api/sign-out").status_code == 401


def test_rotation_by_another_process_ends_every_token(world: World) -> None:
    token = world.token(world.far)
    text = world.invited(world.far)["message"]
    code = "import sys; from pathlib import Path; from engine.server.identity.state import State; State(Path(sys.argv[1])).rotate()"
    subprocess.run([sys.executable, "-c", code, str(world.home)], check=True, timeout=60)
    assert world.ask("GET", "/api/me", token=token).status_code == 401
    assert world.enter(world.far, text).status_code == 401, "nonces end with the secret"
    assert world.ask("GET", "/api/me", token=world.token(world.far)).status_code == 200


def test_expired_altered_and_foreign_tokens_are_refused(world: World, tmp_path: Path) -> None:
    tokens = Tokens(State(world.home))
    expired, _ = tokens.issue(world.far.address, int(datetime.now(UTC).timestamp()) - 1)
    good, _ = tokens.issue(world.far.address, int(datetime.now(UTC).timestamp()) + 60)
    foreign, _ = Tokens(State(tmp_path)).issue(world.far.address, int(datetime.now(UTC).timestamp()) + 60)
    altered = [good[:n] + ("A" if good[n] != "A" else "B") + good[n + 1 :] for n in range(1, len(good) - 1, 7)]
    for token in (expired, foreign, "", "x", "a.b", good + "x", "é", "x" * 5000, *altered):
        assert world.ask("GET", "/api/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401, token
    assert world.ask("GET", "/api/me", headers={"Authorization": "Basic eDp5"}).status_code == 401
    assert world.ask("GET", "/api/me", token=good).status_code == 200


def test_secret_and_state_are_for_the_owner_of_the_home_only(world: World) -> None:
    token = world.token(world.far)
    folder = world.home / "access"
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("*"):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o600), path
    # another process reads: closing SQLite's files here would drop the locks that this process has on them
    found = subprocess.run(["grep", "-rlF", "--", token, str(world.home)], capture_output=True, check=False, timeout=60)
    assert found.stdout == b"", "a token is written down nowhere"


texts = st.one_of(
    st.text(max_size=12), st.sampled_from(["\ud800", "0x" + "00" * 65, "main", "policy", "://", "urn:x", "\x00", "{}"])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(st.data())
def test_no_body_is_the_servers_fault(world: World, data: st.DataObject) -> None:
    token = _token(world)
    paths = ["/api/sign-in/nonce", "/api/sign-in", "/api/changes", "/api/changes/x", "/api/permissions"]
    path = data.draw(st.sampled_from(paths))
    members = [
        "address", "message", "signature", "graph", "add", "remove", "content", "format", "expires", "audience", "signatures",
        "readers",
    ]  # fmt: skip
    body = data.draw(st.dictionaries(st.one_of(st.sampled_from(members), texts), values, max_size=5))
    raw = data.draw(st.sampled_from([json.dumps(body), "[" * 50_000, '{"a":' * 3_000, "\ufeff{}", "{", "nul"]))
    answer = world.ask(
        "PUT" if path.endswith("permissions") else "POST", path, raw, token=token, peer=f"10.1.{len(raw) % 256}.1"
    )
    assert answer.status_code < 500, answer.text


def test_text_that_is_no_unicode_is_refused(world: World) -> None:
    said = '{"graph": "odd", "add": "<urn:a> <urn:b> 1 .", "message": "\\ud800"}'
    assert world.ask("POST", "/api/changes", said, token=world.token(world.far)).status_code == 400


@lru_cache(maxsize=1)
def _token(world: World) -> str:
    return world.token(world.far)


# -- the cookie --------------------------------------------------------------------------------------------------------
def test_cookie_speaks_only_for_own_pages_and_changes_need_its_csrf_token(world: World) -> None:
    answer = world.enter(world.held)
    told, cookie = answer.get_json(), answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert part in cookie
    sent = {"Cookie": cookie.partition(";")[0]}

    def who(**headers: str) -> str:
        more = {k.replace("_", "-"): v for k, v in headers.items()}
        return str(world.ask("GET", "/api/me", headers={**sent, **more}).get_json()["address"])

    assert who() == world.held.address
    assert who(Sec_Fetch_Site="same-origin") == world.held.address
    assert who(Sec_Fetch_Site="same-site") == "", "another port of this machine is another site's page"
    assert who(Origin="http://evil.example") == ""
    change = {"graph": "notes", "add": "<urn:a> <urn:b> 'c' ."}
    refused = world.ask("POST", "/api/changes", change, headers=sent)
    assert (refused.status_code, refused.get_json()["type"].rpartition("/")[2]) == (403, "csrf")
    assert world.ask("POST", "/api/changes", change, headers={**sent, "X-CSRF-Token": "0" * 64}).status_code == 403
    assert world.ask("POST", "/api/changes", change, headers={**sent, "X-CSRF-Token": told["csrf"]}).status_code == 201
    assert world.ask("GET", "/api/me", headers={"Cookie": f"{COOKIE}=stale"}).get_json()["address"] == ""
    callers = Callers(Settings(home=str(world.home)), world.kb.call)
    assert not callers.of({k.lower(): v for k, v in sent.items()}, "127.0.0.1").signed_in, (
        "a method not known to be safe"
    )


def test_cookie_under_tls_is_secure_and_bound_to_the_host(world: World) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", "Host": "data.example.org"}
    invited = world.ask("POST", "/api/sign-in/nonce", {"address": world.far.address}, headers=headers, peer="10.0.0.9")
    text = invited.get_json()["message"]
    assert "URI: https://data.example.org/" in text
    signature = world.far.sign(message.signed_digest(text)).hex()
    answer = world.ask(
        "POST", "/api/sign-in", {"message": text, "signature": signature}, headers=headers, peer="10.0.0.9"
    )
    assert answer.status_code == 200
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie
