"""Tokens: minted once for all, renewed early, never asked for into a lock-out, and never lost."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from coupa_provider.client import token as token_module
from coupa_provider.client.answer import Answer
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaAuthenticationError,
    CoupaConfigError,
    CoupaCredentialsError,
    CoupaError,
    CoupaRetryableError,
    CoupaScopeError,
    CoupaUnavailableError,
)
from coupa_provider.client.token import (
    TOKEN_PATH,
    MemoryRefreshTokenStore,
    Token,
    TokenSource,
    forget_tokens,
    shared_token_source,
)

TOKEN_REQUESTS = f"POST {TOKEN_PATH}"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Endpoint:
    """A token endpoint without a socket, for tests in which days pass."""

    def __init__(self, lifetime=86399) -> None:
        self.lifetime = lifetime
        self.requests = 0
        self.failure: Answer | CoupaError | None = None
        self.secrets: list[str] = []

    async def send(self, form: bytes) -> Answer:
        self.requests += 1
        await asyncio.sleep(0)
        if isinstance(self.failure, Answer):
            return self.failure
        if self.failure is not None:
            raise self.failure
        body = {
            "access_token": f"token-{self.requests}",
            "expires_in": self.lifetime,
            "scope": "a.read b.read",
        }
        return Answer(200, {}, msgspec.json.encode(body), "POST", TOKEN_PATH)


def refusal(status, error):
    return Answer(status, {}, msgspec.json.encode({"error": error}), "POST", TOKEN_PATH)


@pytest.fixture
def scene(config_for):
    """A source with a clock to turn and an endpoint to ask: ``get()`` returns the token's text."""

    class Scene:
        def __init__(self) -> None:
            self.clock, self.endpoint = Clock(), Endpoint()
            self.source = TokenSource(config_for("http://localhost:1", scopes="a.read b.read"), self.clock)

        async def aget(self) -> str:
            found = await self.source.get(
                self.endpoint.send, MemoryRefreshTokenStore(), self.endpoint.secrets.append
            )
            return found.value

        def get(self) -> str:
            return asyncio.run(self.aget())

    return Scene()


# ---- life of a token, with a clock of its own


def test_a_token_serves_for_twenty_hours_then_its_successor_rests_five_seconds(scene):
    assert scene.get() == "token-1"
    scene.clock.now += 19.9 * 3600
    assert scene.get() == "token-1"
    assert scene.endpoint.requests == 1
    scene.clock.now += 0.2 * 3600
    assert scene.get() == "token-1"
    assert scene.endpoint.requests == 2
    scene.clock.now += 4.9
    assert scene.get() == "token-1"
    scene.clock.now += 0.2
    assert scene.get() == "token-2"
    assert scene.endpoint.requests == 2
    assert scene.endpoint.secrets == ["token-1", "token-2"]


def test_an_expired_token_is_replaced_before_use(scene):
    assert scene.get() == "token-1"
    scene.clock.now += 86400
    assert scene.get() == "token-2"
    scene.clock.now += 86399 - 29
    assert scene.get() == "token-3"


def test_a_renewal_while_others_ask_happens_once(scene):
    async def many():
        return await asyncio.gather(*(scene.aget() for _ in range(50)))

    assert set(asyncio.run(many())) == {"token-1"}
    scene.clock.now += 21 * 3600
    assert set(asyncio.run(many())) == {"token-1"}
    assert scene.endpoint.requests == 2
    scene.clock.now += 6
    assert set(asyncio.run(many())) == {"token-2"}
    assert scene.endpoint.requests == 2


@pytest.mark.parametrize(
    "failure", [CoupaUnavailableError("down"), refusal(401, "invalid_client"), refusal(400, "invalid_scope")]
)
def test_a_renewal_that_fails_does_no_harm_while_the_old_token_serves(scene, failure):
    scene.get()
    scene.clock.now += 21 * 3600
    scene.endpoint.failure = failure
    asked = scene.endpoint.requests
    for _ in range(20):
        assert scene.get() == "token-1"
    first_round = scene.endpoint.requests - asked
    assert first_round <= 2  # one, and one to tell which scope is missing
    scene.clock.now += 120
    assert scene.get() == "token-1"
    # What may pass is tried again after a rest; what was refused is not, for that could lock the client.
    again = scene.endpoint.requests - asked - first_round
    assert again == (1 if isinstance(failure, CoupaRetryableError) else 0)
    scene.clock.now += 3 * 3600
    with pytest.raises(CoupaError):
        scene.get()
    scene.endpoint.failure = None
    scene.clock.now += 301
    assert scene.get() == f"token-{scene.endpoint.requests}"


def test_a_refusal_is_remembered_for_five_minutes(scene):
    scene.endpoint.failure = refusal(401, "invalid_client")
    for _ in range(30):
        with pytest.raises(CoupaAuthenticationError):
            scene.get()
    assert scene.endpoint.requests == 1
    scene.clock.now += 299
    with pytest.raises(CoupaAuthenticationError):
        scene.get()
    assert scene.endpoint.requests == 1
    scene.clock.now += 2
    scene.endpoint.failure = None
    assert scene.get() == "token-2"


def test_a_failure_that_may_pass_is_not_remembered(scene):
    scene.endpoint.failure = CoupaUnavailableError("down")
    with pytest.raises(CoupaUnavailableError):
        scene.get()
    scene.endpoint.failure = None
    assert scene.get() == "token-2"


def test_only_the_token_that_was_refused_is_dropped(scene):
    scene.get()
    old = scene.source._current
    scene.source.reject(old)
    assert scene.get() == "token-2"
    scene.source.reject(old)
    assert scene.get() == "token-2"


def test_a_refused_token_gives_way_to_its_successor(scene):
    scene.get()
    scene.clock.now += 21 * 3600
    scene.get()
    scene.source.reject(scene.source._current)
    assert scene.get() == "token-2"
    assert scene.endpoint.requests == 2


def test_starting_afresh_forgets_tokens_and_refusals(scene):
    scene.get()
    scene.source.start_afresh()
    assert scene.get() == "token-2"
    scene.source.start_afresh()
    scene.endpoint.failure = refusal(401, "invalid_client")
    with pytest.raises(CoupaAuthenticationError):
        scene.get()
    scene.endpoint.failure = None
    scene.source.start_afresh()
    assert scene.get().startswith("token-")


@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        (3600, 3600), ("3600", 3600), (1.5, 1.5), (None, 86399), ("", 86399), (0, 86399), (-5, 86399),
        ("soon", 86399), ({}, 86399), ([], 86399), ("inf", 86399), ("nan", 86399), (10**400, 86399),
    ],
)  # fmt: skip
def test_how_long_a_token_lives(expires_in, lifetime):
    assert token_module._lifetime(expires_in) == lifetime


def test_short_lives_are_renewed_early_too():
    short = Token("t", minted_at=0, lifetime=10)
    assert not short.due(8)
    assert short.due(8.5)
    assert short.usable(8.9)
    assert not short.usable(9.1)


@pytest.mark.parametrize("value", ["two parts", "line\nend", "tok\u00e9n", "\x00\x01", " "])
def test_a_token_that_cannot_stand_in_a_header_is_refused_unseen(scene, value):
    body = msgspec.json.encode({"access_token": value})
    scene.endpoint.failure = Answer(200, {}, body, "POST", TOKEN_PATH)
    with pytest.raises(CoupaUnavailableError, match="cannot stand in a header") as caught:
        scene.get()
    assert value.strip() == "" or value not in str(caught.value)


def test_the_words_of_an_oauth_error_are_not_repeated(scene):
    secret = scene.source._config.client_secret
    scene.endpoint.failure = refusal(401, f"client with secret {secret} unknown")
    with pytest.raises(CoupaAuthenticationError) as caught:
        scene.get()
    assert secret not in str(caught.value)


def test_a_token_is_not_printed():
    token = Token("eyJ-the-token", 0, 10, ("a.read",))
    assert "eyJ-the-token" not in repr(token)
    assert "a.read" in repr(token)


# ---- with the emulator, over sockets


async def use(config, **options):
    async with CoupaClient(config, **options) as client:
        return await client.call("GET", "departments", params={"limit": 1})


def test_fifty_clients_mint_one_token(emulator, config_for, run):
    config = config_for(emulator.url)

    async def crowd():
        return await asyncio.gather(*(use(config) for _ in range(50)))

    assert all(len(answer) == 1 for answer in run(crowd()))
    seen = emulator.seen()
    assert seen["tokens_minted"] == 1
    assert seen["requests_by_path"][TOKEN_REQUESTS] == 1
    assert seen["statuses"] == {"200": 51}


def test_threads_and_loops_share_one_token(emulator, config_for):
    config = config_for(emulator.url)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: asyncio.run(use(config)), range(16)))
        with BlockingClient(config) as blocking:
            answers.append(blocking.call("GET", "departments", params={"limit": 1}))
    assert [len(answer) for answer in answers] == [1] * 17
    assert emulator.seen()["tokens_minted"] == 1


def test_other_scopes_secrets_or_instances_are_other_tokens(config_for):
    base = config_for("localhost:1")
    assert shared_token_source(base) is shared_token_source(config_for("localhost:1"))
    others = [
        config_for("localhost:1", scopes="core.invoice.read"),
        config_for("localhost:1", password="mended"),
        config_for("localhost:1", login="other"),
        config_for("localhost:2"),
        config_for("localhost:1", grant_type="refresh_token", refresh_token="r"),
    ]
    assert len({id(shared_token_source(config)) for config in [base, *others]}) == 6
    first = shared_token_source(base)
    forget_tokens()
    assert shared_token_source(base) is not first


def test_requests_go_on_while_a_short_token_is_renewed(emulator, config_for, run):
    emulator.configure(token_ttl_s=3)
    config = config_for(emulator.url)

    async def scene():
        async with CoupaClient(config) as client:
            end = time.monotonic() + 4.5
            while time.monotonic() < end:
                await asyncio.gather(
                    *(client.call("GET", "departments", params={"limit": 1}) for _ in range(5))
                )
                await asyncio.sleep(0.05)

    run(scene())
    seen = emulator.seen()
    assert set(seen["statuses"]) == {"200"}
    assert 2 <= seen["tokens_minted"] <= 3


def test_a_401_is_answered_by_one_new_token_for_all(emulator, config_for, run):
    config = config_for(emulator.url)

    async def scene():
        async with CoupaClient(config) as client:
            await client.call("GET", "departments")
            emulator.revoke_tokens()
            emulator.reset_seen()
            await asyncio.gather(*(client.call("GET", "departments") for _ in range(10)))

    run(scene())
    seen = emulator.seen()
    assert seen["tokens_minted"] == 1
    assert seen["statuses"]["200"] == 11
    assert seen["statuses"].get("401", 0) <= 10


@pytest.mark.parametrize("body", ["errors", "empty", "html", "error"])
def test_the_body_of_a_401_does_not_matter(emulator, config_for, run, body):
    emulator.configure(switches={"U4": body})
    config = config_for(emulator.url)

    async def scene():
        async with CoupaClient(config) as client:
            await client.call("GET", "departments")
            emulator.revoke_tokens()
            return await client.call("GET", "departments", params={"limit": 2})

    assert len(run(scene())) == 2


def test_coupas_five_seconds_cost_nothing_where_they_are_not_enforced(emulator, config_for, run):
    started = time.monotonic()
    run(use(config_for(emulator.url)))
    assert time.monotonic() - started < 1


def test_coupas_five_seconds_are_waited_where_they_are_enforced(emulator, config_for, run):
    emulator.configure(switches={"U2": "401"}, activation_delay_s=2)
    config = config_for(emulator.url)

    async def crowd():
        return await asyncio.gather(*(use(config) for _ in range(5)))

    started = time.monotonic()
    assert all(len(answer) == 1 for answer in run(crowd()))
    assert 2 <= time.monotonic() - started < 8
    assert emulator.seen()["tokens_minted"] == 1


@pytest.mark.parametrize("status", ["401", "400"])
def test_a_wrong_secret_is_asked_about_once(emulator, config_for, run, status):
    emulator.configure(switches={"U1": status})
    config = config_for(emulator.url, password="wr0ng-secret")

    async def crowd():
        return await asyncio.gather(*(use(config) for _ in range(20)), return_exceptions=True)

    errors = run(crowd()) + run(crowd())
    assert {type(error) for error in errors} == {CoupaAuthenticationError}
    assert emulator.seen()["requests_by_path"] == {TOKEN_REQUESTS: 1}
    message = str(errors[0])
    assert "client id" in message
    assert "OAuth2/OpenID Connect Clients" in message
    assert f"{emulator.url}/oauth2/clients" in message
    assert "wr0ng-secret" not in message


@pytest.mark.parametrize("status", ["401", "400", "403"])
def test_a_client_switched_off_is_said_so(emulator, config_for, run, status):
    emulator.configure(switches={"U32": status})
    emulator.add_client("idle", "idle-secret", active=False)
    config = config_for(emulator.url, login="idle", password="idle-secret")
    with pytest.raises(CoupaAuthenticationError, match="inactive"):
        run(use(config))
    assert emulator.seen()["requests_by_path"] == {TOKEN_REQUESTS: 1}


@pytest.mark.parametrize("status", ["401", "400", "403"])
def test_a_token_that_stays_refused_ends_in_a_clear_error(emulator, config_for, run, status):
    emulator.configure(switches={"U32": status})
    config = config_for(emulator.url)

    async def scene():
        async with CoupaClient(config) as client:
            await client.call("GET", "departments")
            emulator.deactivate_client(emulator.client_id)
            await client.call("GET", "departments")

    with pytest.raises(CoupaError) as caught:
        run(scene())
    assert not isinstance(caught.value, CoupaRetryableError)
    assert emulator.seen()["requests_by_path"][TOKEN_REQUESTS] <= 2


@pytest.mark.parametrize("echo", ["echoed", "absent"])
def test_a_refused_scope_is_told_with_the_list_and_where_to_look(emulator, config_for, run, echo):
    emulator.configure(switches={"U33": echo})
    emulator.add_client("narrow", "narrow-secret", ["core.common.read", "core.invoice.read"])
    config = config_for(
        emulator.url, login="narrow", password="narrow-secret", scopes="core.invoice.read core.supplier.read"
    )
    for _ in range(3):
        with pytest.raises(CoupaScopeError) as caught:
            run(use(config))
    message = caught.value.message
    assert "core.invoice.read, core.supplier.read" in message
    assert f"{emulator.url}/oauth2/clients" in message
    assert ("Not granted: core.supplier.read" in message) is (echo == "echoed")
    # Asked once, and once more without scopes to tell which one is missing.
    assert emulator.seen()["requests_by_path"] == {TOKEN_REQUESTS: 2}


def test_scopes_are_sent_parted_by_one_space(raw_server, http, config_for, run, quick):
    server = raw_server(http(200, b'{"access_token": "t0k3n"}'))
    config = config_for(server.url, scopes="a.read,\n b.read", login="id&1", password="p+s%s=w")
    run(use(config, retry=quick))
    form = server.requests[0].partition(b"\r\n\r\n")[2]
    assert (
        form
        == b"client_id=id%261&client_secret=p%2Bs%25s%3Dw&grant_type=client_credentials&scope=a.read+b.read"
    )
    assert server.lines[0] == f"POST {TOKEN_PATH} HTTP/1.1"
    assert b"application/x-www-form-urlencoded" in server.requests[0]
    assert b"Accept: application/json" in server.requests[0]


def test_the_scopes_of_a_token_are_known_where_coupa_says_them(emulator, config_for, run):
    config = config_for(emulator.url, scopes="core.invoice.read core.common.read")

    async def mint():
        async with CoupaClient(config) as client:
            return await client.token()

    token = run(mint())
    assert set(token.scope) == {"core.invoice.read", "core.common.read"}
    assert token.lifetime == 86399
    emulator.configure(switches={"U33": "absent"})
    forget_tokens()
    assert run(mint()).scope == ()


@pytest.mark.parametrize("kind", ["500", "502", "503", "429", "429_seconds", "drop_before"])
def test_a_token_endpoint_that_stumbles_is_asked_again(emulator, config_for, run, quick, kind):
    emulator.configure(
        faults={"kinds": [kind], "paths": [TOKEN_PATH], "always": True, "times": 2, "retry_after_s": 0}
    )
    assert len(run(use(config_for(emulator.url), retry=quick))) == 1
    assert emulator.seen()["requests_by_path"][TOKEN_REQUESTS] == 3


def test_a_torn_token_answer_is_asked_for_again(raw_server, http, config_for, run, quick):
    answers = iter(
        [http(200, b'{"access_token": "t0'), http(200, b'{"access_token": "t0k3n"}'), http(200, b"[]")]
    )
    server = raw_server(lambda request: next(answers))
    assert run(use(config_for(server.url), retry=quick)) == []


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [(404, b"<html>", "text/html"), (200, b"<html>welcome", "text/html"), (200, b"[]", "application/json"),
     (404, b"", ""), (200, b'{"access_token": 5}', "application/json")],
)  # fmt: skip
def test_a_host_that_is_no_coupa_is_a_wrong_host_not_a_missing_record(
    raw_server, http, config_for, run, quick, status, body, content_type
):
    server = raw_server(http(status, body, content_type))
    with pytest.raises(CoupaConfigError, match="does not answer like a Coupa instance") as caught:
        run(use(config_for(server.url), retry=quick))
    assert caught.value.field == "host"
    assert "'coupa_test'" in caught.value.message
    assert len(server.requests) == 1


def test_a_redirecting_token_endpoint_is_not_followed(raw_server, http, config_for, run, quick):
    elsewhere = raw_server(http(200, b'{"access_token": "stolen"}'))
    server = raw_server(http(302, b"", "text/html", Location=f"{elsewhere.url}/oauth2/token"))
    with pytest.raises(CoupaUnavailableError, match="redirected"):
        run(use(config_for(server.url), retry=quick))
    assert elsewhere.requests == []


# ---- refresh tokens


class Kept:
    """A store that can be looked into, and made to fail."""

    def __init__(self, token=None) -> None:
        self.token, self.saved, self.failures = token, [], 0

    def load(self):
        return self.token

    def save(self, token) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")
        self.token = token
        self.saved.append(token)


SCOPES = ["core.common.read", "offline_access"]


def refresh_config(config_for, emulator, text=None):
    text = text or emulator.issue_refresh_token(emulator.client_id, SCOPES)
    return config_for(emulator.url, grant_type="refresh_token", refresh_token=text)


@pytest.mark.parametrize(("mode", "rotates"), [("rotate", True), ("reuse_detect", True), ("keep", False)])
def test_a_rotated_refresh_token_is_kept_and_used_next(emulator, config_for, run, mode, rotates):
    emulator.configure(switches={"U3": mode})
    config, store, masked = refresh_config(config_for, emulator), Kept(), []
    for _ in range(3):
        assert len(run(use(config, refresh_tokens=store, on_secret=masked.append))) == 1
        forget_tokens()  # as a new process starts
    assert len(store.saved) == (3 if rotates else 0)
    assert len(set(store.saved)) == len(store.saved)
    assert set(store.saved) <= set(masked)
    assert config.refresh_token not in store.saved
    assert emulator.seen()["tokens_refreshed"] == 3


def test_the_new_refresh_token_is_safe_before_the_access_token_is_used(emulator, config_for, run):
    order = []

    class Ordered(Kept):
        def save(self, token) -> None:
            order.append(("saved", emulator.seen()["requests"]))
            super().save(token)

    config = refresh_config(config_for, emulator)
    run(use(config, refresh_tokens=Ordered(), on_secret=lambda secret: order.append(("masked", 0))))
    assert order == [("masked", 0), ("saved", 0), ("masked", 0)]


def test_a_refresh_token_that_another_process_has_used_is_found_in_the_store(emulator, config_for, run):
    config, store = refresh_config(config_for, emulator), Kept()
    run(use(config, refresh_tokens=store))
    forget_tokens()

    class Late(Kept):
        """Shows the old token first: the other process is between Coupa's answer and the store."""

        looks = 0

        def load(self):
            self.looks += 1
            return store.load() if self.looks > 2 else None

    late = Late()
    assert len(run(use(config, refresh_tokens=late))) == 1
    assert late.looks == 3
    assert len(late.saved) == 1


def test_a_void_refresh_token_is_told_with_the_remedy_and_not_tried_again(emulator, config_for, run):
    config = refresh_config(config_for, emulator, "never-issued-token")
    for _ in range(2):
        with pytest.raises(CoupaAuthenticationError) as caught:
            run(use(config, refresh_tokens=Kept()))
    assert "90 days" in caught.value.message
    assert "'refresh_token'" in caught.value.message
    assert "never-issued-token" not in str(caught.value)
    assert emulator.seen()["requests_by_path"] == {TOKEN_REQUESTS: 1}


def test_reuse_that_is_detected_voids_the_family_and_is_told(emulator, config_for, run):
    emulator.configure(switches={"U3": "reuse_detect"})
    config, store = refresh_config(config_for, emulator), Kept()
    run(use(config, refresh_tokens=store))
    forget_tokens()
    with pytest.raises(CoupaAuthenticationError, match="Obtain a new one"):
        run(use(config, refresh_tokens=Kept()))


def test_a_store_that_fails_does_not_lose_the_only_refresh_token(emulator, config_for, run):
    config, store = refresh_config(config_for, emulator), Kept()
    store.failures = 1
    with pytest.raises(OSError, match="database is away"):
        run(use(config, refresh_tokens=store))
    assert len(run(use(config, refresh_tokens=store))) == 1
    assert store.token is not None
    forget_tokens()
    assert len(run(use(config, refresh_tokens=store))) == 1


def test_a_lost_answer_to_a_refresh_is_not_asked_for_blindly(emulator, config_for, run, quick):
    emulator.configure(faults={"kinds": ["drop_before"], "paths": [TOKEN_PATH], "always": True, "times": 1})
    config = refresh_config(config_for, emulator)
    with pytest.raises(CoupaUnavailableError, match="was lost"):
        run(use(config, refresh_tokens=Kept(), retry=quick))
    assert emulator.seen()["requests_by_path"] == {TOKEN_REQUESTS: 1}
    assert len(run(use(config, refresh_tokens=Kept(), retry=quick))) == 1


def test_many_users_of_a_refresh_token_use_it_once(emulator, config_for, run):
    config, store = refresh_config(config_for, emulator), Kept()

    async def crowd():
        return await asyncio.gather(*(use(config, refresh_tokens=store) for _ in range(30)))

    assert len(run(crowd())) == 30
    assert len(store.saved) == 1


def test_a_client_without_the_grant_type_is_told_so(raw_server, http, config_for, run, quick):
    server = raw_server(http(400, b'{"error": "unauthorized_client"}'))
    with pytest.raises(CoupaCredentialsError, match=r"grant type client_credentials \(unauthorized_client\)"):
        run(use(config_for(server.url), retry=quick))


# ---- processes


def test_a_fork_while_a_token_is_minted_does_not_stop_the_child(emulator, config_for):
    config = config_for(emulator.url)
    source = shared_token_source(config)
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with source._mint_lock:
            held.set()
            free.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(5)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if len(asyncio.run(asyncio.wait_for(use(config), 4))) == 1 else 2
        finally:
            os._exit(code)
    free.set()
    holder.join()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
