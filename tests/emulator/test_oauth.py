from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller


class TestClientCredentials:
    def test_answers_a_bearer_token_for_a_day_less_a_second(self, coupa: Caller) -> None:
        answer = coupa.token(scope="core.invoice.read core.supplier.read").json()

        assert answer["token_type"] == "bearer"
        assert answer["expires_in"] == 86399
        assert answer["scope"] == "core.invoice.read core.supplier.read"
        assert answer["access_token"].count(".") == 2
        assert "refresh_token" not in answer

    def test_takes_basic_credentials(self, coupa: Caller) -> None:
        answer = coupa.http.post(
            "/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(coupa.emulator.client_id, coupa.emulator.client_secret),
        )
        assert answer.status_code == 200

    def test_takes_everything_in_the_query_string(self, coupa: Caller) -> None:
        answer = coupa.http.post(
            "/oauth2/token",
            params={
                "grant_type": "client_credentials",
                "client_id": coupa.emulator.client_id,
                "client_secret": coupa.emulator.client_secret,
            },
        )
        assert answer.status_code == 200

    def test_gives_every_scope_of_the_client_when_none_is_asked_for(self, coupa: Caller) -> None:
        coupa.emulator.add_client("two", "secret", scopes=["core.user.read", "core.user.write"])
        answer = coupa.token(client_id="two", client_secret="secret")
        assert answer.json()["scope"] == "core.user.read core.user.write"

    @pytest.mark.parametrize(
        "scope",
        ["core.invoice.read core.zork.read", "core.invoice.read,core.supplier.read", "core.supplier.read"],
    )
    def test_one_scope_too_many_fails_the_whole_request(self, coupa: Caller, scope: str) -> None:
        coupa.emulator.add_client("narrow", "secret", scopes=["core.invoice.read"])
        answer = coupa.token(client_id="narrow", client_secret="secret", scope=scope)
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_scope"

    @pytest.mark.parametrize(
        ("form", "error"),
        [
            ({"grant_type": "password"}, "unsupported_grant_type"),
            ({"grant_type": ""}, "invalid_request"),
            ({"client_id": ""}, "invalid_request"),
            ({"client_secret": "wrong"}, "invalid_client"),
            ({"client_id": "nobody"}, "invalid_client"),
        ],
    )
    def test_errors(self, coupa: Caller, form: dict[str, str], error: str) -> None:
        answer = coupa.token(**form)
        assert answer.json()["error"] == error
        assert answer.status_code == (401 if error == "invalid_client" else 400)

    def test_a_second_token_does_not_end_the_first(self, coupa: Caller) -> None:
        coupa.token()
        assert coupa.get("invoices").status_code == 200


class TestUse:
    def test_no_token_and_a_wrong_one(self, coupa: Caller) -> None:
        assert coupa.get("invoices", Authorization="").status_code == 401
        assert coupa.get("invoices", Authorization="Bearer zork").status_code == 401

    def test_the_word_bearer_in_lower_case(self, coupa: Caller) -> None:
        assert coupa.get("invoices", Authorization=f"bearer {coupa.bearer}").status_code == 200

    def test_the_old_api_key_is_refused(self, coupa: Caller) -> None:
        answer = coupa.http.get("/api/invoices", headers={"X-COUPA-API-KEY": "0" * 40})
        assert answer.status_code == 401

    def test_expiry(self, coupa: Caller) -> None:
        coupa.emulator.configure(token_ttl_s=0)
        coupa.authorize()
        assert coupa.get("invoices").status_code == 401

    def test_revocation(self, coupa: Caller) -> None:
        coupa.emulator.revoke_tokens()
        assert coupa.get("invoices").status_code == 401
        coupa.authorize()
        assert coupa.get("invoices").status_code == 200

    def test_a_missing_scope_is_403_for_reading_and_for_writing(self, coupa: Caller) -> None:
        coupa.authorize(scope="core.invoice.read")
        assert coupa.get("invoices").status_code == 200
        assert coupa.get("suppliers").status_code == 403
        assert coupa.send("PUT", "invoices/1", {}).status_code == 403

    def test_creating_invoices_has_a_scope_of_its_own(self, coupa: Caller) -> None:
        coupa.authorize(scope="core.invoice.create")
        assert coupa.send("POST", "invoices", {}).status_code == 400
        assert coupa.send("PUT", "invoices/1", {}).status_code == 403

    def test_tokens_can_be_long(self, coupa: Caller) -> None:
        coupa.emulator.configure(token_length=6000)
        coupa.authorize(scope="core.invoice.read")
        assert len(coupa.bearer) >= 6000
        assert coupa.get("invoices").status_code == 200


def consent(coupa: Caller, **more: str) -> str:
    answer = coupa.http.get(
        "/oauth2/authorizations/new",
        params={
            "client_id": coupa.emulator.client_id,
            "response_type": "code",
            "redirect_uri": "https://example.com/back",
            "scope": "core.user.read offline_access",
            "state": "xyz",
            **more,
        },
    )
    assert answer.status_code == 302, answer.text
    returned = parse_qs(urlsplit(answer.headers["location"]).query)
    assert returned["state"] == ["xyz"]
    return returned["code"][0]


def exchange(coupa: Caller, code: str, **more: str) -> httpx.Response:
    return coupa.token(
        grant_type="authorization_code", code=code, redirect_uri="https://example.com/back", **more
    )


class TestAuthorizationCode:
    def test_gives_access_and_refresh_token(self, coupa: Caller) -> None:
        answer = exchange(coupa, consent(coupa)).json()
        coupa.bearer = answer["access_token"]
        assert coupa.get("users").status_code == 200
        assert answer["refresh_token"]

    def test_a_code_works_once(self, coupa: Caller) -> None:
        code = consent(coupa)
        exchange(coupa, code)
        assert exchange(coupa, code).json()["error"] == "invalid_grant"

    def test_no_refresh_token_without_offline_access(self, coupa: Caller) -> None:
        assert "refresh_token" not in exchange(coupa, consent(coupa, scope="core.user.read")).json()

    def test_pkce(self, coupa: Caller) -> None:
        verifier = "v" * 43
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        proof = {"code_challenge": challenge, "code_challenge_method": "S256"}
        assert exchange(coupa, consent(coupa, **proof), code_verifier=verifier).status_code == 200
        assert exchange(coupa, consent(coupa, **proof), code_verifier="w" * 43).status_code == 400

    def test_consent_for_an_unknown_client(self, coupa: Caller) -> None:
        answer = coupa.http.get("/oauth2/authorizations/new", params={"client_id": "nobody"})
        assert answer.status_code == 401


class TestRefresh:
    def refresh(self, coupa: Caller, token: str, **more: str) -> httpx.Response:
        return coupa.token(grant_type="refresh_token", refresh_token=token, **more)

    def test_a_refresh_makes_a_token_that_works(self, coupa: Caller) -> None:
        token = coupa.emulator.issue_refresh_token("emulator", ["core.user.read"])
        answer = self.refresh(coupa, token).json()
        coupa.bearer = answer["access_token"]
        assert coupa.get("users").status_code == 200
        assert coupa.get("invoices").status_code == 403
        assert coupa.emulator.seen()["tokens_refreshed"] == 1

    def test_a_refresh_that_fails_costs_the_token(self, coupa: Caller) -> None:
        token = coupa.emulator.issue_refresh_token("emulator", ["core.user.read"])
        assert self.refresh(coupa, token, scope="core.invoice.read").json()["error"] == "invalid_scope"
        assert self.refresh(coupa, token).json()["error"] == "invalid_grant"

    def test_the_token_of_another_client_is_refused(self, coupa: Caller) -> None:
        coupa.emulator.add_client("other", "secret")
        token = coupa.emulator.issue_refresh_token("other", ["core.user.read"])
        assert self.refresh(coupa, token).json()["error"] == "invalid_grant"
