"""The connection form and its test button, as a user meets them in Airflow 3.

Set COUPA_DOCS_IMAGES=docs/images to renew the pictures in the docs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SCOPES = ["core.common.read", "core.invoice.read"]


@pytest.fixture
def emulator() -> Iterator[Any]:
    from coupa_provider.emulator import Emulator

    # In the pictures it listens where `python -m coupa_provider.emulator` does.
    with Emulator(port=8810 if os.environ.get("COUPA_DOCS_IMAGES") else 0) as running:
        yield running


class ConnectionForm:
    """The dialog for a new or an existing connection."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.dialog = page.locator("[role=dialog]")

    def add(self, conn_id: str) -> None:
        self.page.goto(f"{self.url}/connections")
        self.page.get_by_role("button", name="Add Connection").click()
        self.standard("connection_id").fill(conn_id)
        self.dialog.locator("input[role=combobox]").first.fill("Coupa")
        self.page.get_by_role("option", name="Coupa", exact=True).click()
        self.standard("host").wait_for()

    def edit(self, conn_id: str) -> None:
        self.page.goto(f"{self.url}/connections")
        self.row(conn_id).get_by_role("button", name="Edit Connection").click()
        self.standard("host").wait_for()

    def save(self) -> None:
        self.dialog.get_by_role("button", name="Save").click()
        self.dialog.wait_for(state="detached")

    def row(self, conn_id: str) -> Locator:
        return self.page.locator("tr", has_text=conn_id)

    def press_test(self, conn_id: str) -> dict[str, Any]:
        """Press the test button in the list and give what Airflow's server answers."""
        with self.page.expect_response(lambda response: response.url.endswith("/connections/test")) as caught:
            self.test_button(conn_id).click()
        self.leave_button()
        return dict(caught.value.json())

    def leave_button(self) -> None:
        """Wait until the tooltip is gone: it lies over the button of the row below."""
        self.page.mouse.move(640, 400)
        self.page.get_by_role("tooltip").wait_for(state="hidden")

    def test_button(self, conn_id: str) -> Locator:
        return self.row(conn_id).get_by_role("button", name="Test Connection")

    def standard(self, name: str) -> Locator:
        return self.dialog.locator(f"[name={name}]")

    def extra(self, name: str) -> Locator:
        return self.dialog.locator(f"#element_{name}")

    def number(self, name: str) -> Locator:
        return self.dialog.locator(f"[id='number-input:element_{name}'] input, [name=element_{name}]").first

    def choice(self, name: str) -> Locator:
        return self.dialog.locator(f"input[type=hidden][name=element_{name}]")

    def open_extra_fields(self) -> None:
        self.dialog.get_by_role("button", name="Extra Fields", exact=True).click()
        self.extra("scopes").wait_for()

    def choose(self, name: str, label: str) -> None:
        control = self.choice(name).locator("xpath=..")
        control.locator("input[role=combobox]").click()
        self.page.get_by_role("option", name=label, exact=True).click()

    def fill_credentials(self, emulator: Any, secret: str) -> None:
        self.standard("host").fill(emulator.url)
        self.standard("login").fill(emulator.client_id)
        self.standard("password").fill(secret)
        # Airflow 3.3.1 and 3.3.2 do not test a stored connection without a port.
        self.standard("port").fill(str(urlsplit(emulator.url).port))


@pytest.fixture
def form(page: Page, airflow_ui: Any) -> ConnectionForm:
    return ConnectionForm(page, airflow_ui.url)


def test_what_is_entered_is_found_again(form: ConnectionForm, shoot: Callable[..., None]) -> None:
    form.add("coupa_default")
    form.standard("host").fill("acme.coupahost.com")
    form.standard("login").fill("0123456789abcdef")
    form.standard("password").fill("a client secret")
    form.standard("port").fill("443")
    form.page.wait_for_timeout(400)  # the end of an animation
    shoot(form.dialog, "connection-form")

    form.open_extra_fields()
    assert form.number("requests_per_second").input_value() == "24"
    assert form.number("timeout_seconds").input_value() == "60"
    assert form.choice("grant_type").input_value() == "client_credentials"
    assert form.extra("verify").input_value() == "true"
    form.extra("scopes").fill("\n".join(SCOPES))
    form.page.set_viewport_size({"width": 1280, "height": 1500})
    form.page.wait_for_timeout(400)
    shoot(form.dialog, "connection-form-extras")
    form.choose("grant_type", "Refresh token")
    form.extra("refresh_token").fill("a refresh token")
    form.number("requests_per_second").fill("12")
    form.number("timeout_seconds").fill("90")
    form.extra("proxy").fill("http://proxy.example.com:3128")
    form.extra("verify").fill("/etc/ssl/certs/company.pem")
    form.save()

    form.edit("coupa_default")
    assert form.standard("host").input_value() == "acme.coupahost.com"
    assert form.standard("login").input_value() == "0123456789abcdef"
    assert form.standard("port").input_value() == "443"
    assert_masked(form.standard("password"))
    form.open_extra_fields()
    assert form.extra("scopes").input_value().splitlines() == SCOPES
    assert form.choice("grant_type").input_value() == "refresh_token"
    assert form.number("requests_per_second").input_value() == "12"
    assert form.number("timeout_seconds").input_value() == "90"
    assert form.extra("verify").input_value() == "/etc/ssl/certs/company.pem"
    assert_masked(form.extra("refresh_token"))
    assert_masked(form.extra("proxy"))


def assert_masked(field: Locator) -> None:
    """The browser was never told the secret."""
    assert set(field.input_value()) == {"*"}
    assert field.get_attribute("type") == "password"


def test_the_test_button_tells_right_from_wrong(
    form: ConnectionForm, emulator: Any, shoot: Callable[..., None]
) -> None:
    form.add("coupa_emulator")
    form.fill_credentials(emulator, emulator.client_secret)
    form.save()
    # Saving again leaves the secret, of which the browser knows stars only, as it is.
    form.edit("coupa_emulator")
    form.open_extra_fields()
    form.number("timeout_seconds").fill("30")
    form.save()
    form.add("coupa_wrong_secret")
    form.fill_credentials(emulator, "not-the-secret")
    form.save()

    form.page.goto(f"{form.url}/connections")
    right = form.press_test("coupa_emulator")
    wrong = form.press_test("coupa_wrong_secret")

    assert right["status"] is True, right
    assert wrong["status"] is False, wrong
    assert "secret is wrong" in wrong["message"]
    assert "not-the-secret" not in wrong["message"]
    # Airflow 3.3 shows no message, only a green or a red icon.
    expect_colour(form.test_button("coupa_emulator"), "rgb(0, 128, 0)")
    expect_colour(form.test_button("coupa_wrong_secret"), "rgb(255, 0, 0)")
    shoot(form.page, "connection-test", clip={"x": 0, "y": 0, "width": 1280, "height": 420})


def expect_colour(button: Locator, colour: str) -> None:
    from playwright.sync_api import expect

    expect(button.locator("svg")).to_have_css("color", colour)
