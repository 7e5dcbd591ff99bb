from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from coupa_provider.hooks import connection_form
from coupa_provider.hooks.connection_form import EXTRA_FIELDS, STANDARD_FIELDS

SECRETS = {"refresh_token", "proxy"}
CONNECTION_COLUMNS = {"description", "host", "login", "password", "schema", "port", "extra"}


@pytest.fixture
def widgets(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The widgets, made of stand-ins that keep what they were given, as Airflow 3.1 does it."""

    def module(name: str, **members: Any) -> None:
        stand_in = ModuleType(name)
        stand_in.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, stand_in)

    def field(kind: str) -> Any:
        def make(label: str, validators: Any, description: str, default: Any, widget: Any) -> SimpleNamespace:
            return SimpleNamespace(
                kind=kind,
                label=label,
                validators=validators,
                description=description,
                default=default,
                widget=widget,
            )

        return make

    def named(name: str) -> Any:
        return lambda *args, **kwargs: (name, args, kwargs)

    module("flask_babel", lazy_gettext=lambda text: text)
    module("flask_appbuilder")
    module(
        "flask_appbuilder.fieldwidgets",
        BS3PasswordFieldWidget=named("password"),
        BS3TextFieldWidget=named("text"),
    )
    module(
        "wtforms",
        IntegerField=field("integer"),
        PasswordField=field("password"),
        StringField=field("string"),
    )
    module(
        "wtforms.validators",
        NumberRange=named("range"),
        Optional=named("optional"),
        any_of=named("any_of"),
    )
    return connection_form.connection_form_widgets()


def test_the_extras_are_the_promised_ones() -> None:
    assert [field.name for field in EXTRA_FIELDS] == [
        "scopes",
        "grant_type",
        "refresh_token",
        "requests_per_second",
        "timeout_seconds",
        "proxy",
        "verify",
    ]


def test_all_forms_have_the_same_fields(widgets: dict[str, Any]) -> None:
    declared = connection_form.conn_fields()
    assert list(declared) == list(widgets)
    for name, item in declared.items():
        assert item["label"] == widgets[name].label
        assert item["schema"].get("default") == widgets[name].default
        # The help differs in how the items of a list are parted, nowhere else.
        if name == "scopes":
            assert item["description"].endswith("One per line.")
            assert widgets[name].description.endswith("Parted by spaces.")
        else:
            assert item["description"] == widgets[name].description


def test_it_agrees_with_the_client_that_reads_it() -> None:
    from coupa_provider.client.config import (
        DEFAULT_REQUESTS_PER_SECOND,
        DEFAULT_TIMEOUT_SECONDS,
        GRANT_TYPES,
        LONGEST_TIMEOUT_SECONDS,
        PUBLISHED_REQUESTS_PER_SECOND,
        CoupaConfig,
    )

    fields = {field.name: field for field in EXTRA_FIELDS}
    assert fields["requests_per_second"].default == DEFAULT_REQUESTS_PER_SECOND
    assert fields["requests_per_second"].maximum == PUBLISHED_REQUESTS_PER_SECOND
    assert fields["timeout_seconds"].default == DEFAULT_TIMEOUT_SECONDS
    assert fields["timeout_seconds"].maximum == LONGEST_TIMEOUT_SECONDS
    assert [value for value, _ in fields["grant_type"].choices] == list(GRANT_TYPES)
    untouched = {name: field.default for name, field in fields.items()}
    config = CoupaConfig.from_fields("c", host="acme", login="id", password="secret", extra=untouched)
    assert config == CoupaConfig.from_fields("c", host="acme", login="id", password="secret")


def test_no_field_is_required(widgets: dict[str, Any]) -> None:
    for name, item in connection_form.conn_fields().items():
        assert "null" in item["schema"]["type"], name
        assert widgets[name].validators[0][0] == "optional", name


def test_limits_and_choices_are_the_same_in_both_forms(widgets: dict[str, Any]) -> None:
    schemas = {name: item["schema"] for name, item in connection_form.conn_fields().items()}
    assert schemas["requests_per_second"]["maximum"] == 25
    assert widgets["requests_per_second"].validators[1] == ("range", (), {"min": 1, "max": 25})
    assert widgets["timeout_seconds"].validators[1] == ("range", (), {"min": 1, "max": 600})
    choices = schemas["grant_type"]["enum"]
    assert list(schemas["grant_type"]["values_display"]) == choices
    assert widgets["grant_type"].validators[1] == ("any_of", (choices,), {})


def test_defaults_pass_their_own_schemas() -> None:
    from jsonschema import Draft7Validator

    for item in connection_form.conn_fields().values():
        validator = Draft7Validator(item["schema"])
        assert validator.is_valid(None) or "enum" in item["schema"]
        if "default" in item["schema"]:
            validator.validate(item["schema"]["default"])


def test_both_behaviours_say_the_same() -> None:
    declared = connection_form.conn_ui_field_behaviour()
    method = connection_form.ui_field_behaviour()
    assert declared["hidden-fields"] == method["hidden_fields"] == ["schema"]
    assert declared["relabeling"] == method["relabeling"]
    assert declared["relabeling"]["host"] == "Instance"
    assert declared["relabeling"]["login"] == "Client ID"
    assert declared["relabeling"]["password"] == "Client secret"
    assert declared["placeholders"].items() <= method["placeholders"].items()


def test_standard_fields_are_columns_of_a_connection() -> None:
    assert {field.name for field in STANDARD_FIELDS} <= CONNECTION_COLUMNS


def test_the_port_stays_visible() -> None:
    """Airflow 3.3.1 and 3.3.2 test a stored connection only when it has a port."""
    assert "port" not in connection_form.ui_field_behaviour()["hidden_fields"]


def test_secrets_are_typed_into_password_fields(widgets: dict[str, Any]) -> None:
    declared = connection_form.conn_fields()
    assert {name for name, item in declared.items() if item["schema"].get("format") == "password"} == SECRETS
    assert {name for name, widget in widgets.items() if widget.kind == "password"} == SECRETS


def test_airflow_masks_the_secrets_and_nothing_else() -> None:
    """Airflow masks an extra by the words in its name."""
    try:
        from airflow._shared.secrets_masker import should_hide_value_for_key
    except ImportError:
        from airflow.utils.log.secrets_masker import should_hide_value_for_key

    assert {field.name for field in EXTRA_FIELDS if should_hide_value_for_key(field.name)} == SECRETS


def test_real_widgets_can_be_made() -> None:
    """Airflow 2.11 brings wtforms; it drops a hook that gives any other class of field."""
    pytest.importorskip("flask_appbuilder", reason="Airflow 3 comes without it")
    allowed = {"StringField", "IntegerField", "PasswordField", "BooleanField"}
    made = connection_form.connection_form_widgets()
    assert {widget.field_class.__name__ for widget in made.values()} <= allowed
