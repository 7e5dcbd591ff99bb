"""The connection form, declared once and shown by every Airflow version.

Airflow 3.2 and later read the form from the provider info (``conn-fields`` and
``ui-field-behaviour``) and never ask the hook. Airflow 2.11 and 3.1 ask the hook's class
methods for wtforms widgets and know text, whole numbers, switches and passwords only.
Both are derived here from ``STANDARD_FIELDS`` and ``EXTRA_FIELDS``, so that they cannot
drift apart.

Two rules of Airflow shape the declaration:

* A value in ``extra`` is masked by the *name* of its key, never by the kind of its field.
  Names of secrets must hold a word such as ``token`` or ``proxy``; other names must not.
* A form checks next to nothing and stores untouched fields as null. Checking is done where
  the connection is read, so every field here is optional.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "EXTRA_FIELDS",
    "STANDARD_FIELDS",
    "ExtraField",
    "StandardField",
    "conn_fields",
    "conn_ui_field_behaviour",
    "connection_form_widgets",
    "ui_field_behaviour",
]


@dataclass(frozen=True, kw_only=True)
class StandardField:
    """A column that every Airflow connection has, under the name it has for Coupa.

    :param name: Airflow's name of the column.
    :param label: what the form calls it, or None for Airflow's own label.
    :param placeholder: a sample shown while the field is empty.
    :param hidden: whether the form leaves it out.
    """

    name: str
    label: str | None = None
    placeholder: str | None = None
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class ExtraField:
    """A setting kept in the connection's ``extra``.

    :param name: key in ``extra``; decides whether Airflow masks the value.
    :param label: what the form calls it.
    :param help: one or two sentences below the field.
    :param kind: ``text``, ``list`` (of texts), ``choice``, ``number`` or ``secret``.
    :param default: what a new connection starts with.
    :param choices: allowed values of a ``choice``, with their labels.
    :param suggestions: values offered for a ``text`` that stays free.
    :param minimum: smallest ``number`` the form lets through.
    :param maximum: largest ``number`` the form lets through.
    :param placeholder: a sample shown while the field is empty (Airflow 2.11 alone shows it).
    """

    name: str
    label: str
    help: str
    kind: Literal["text", "list", "choice", "number", "secret"]
    default: str | int | None = None
    choices: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    placeholder: str | None = None


STANDARD_FIELDS: tuple[StandardField, ...] = (
    StandardField(name="host", label="Instance", placeholder="acme or acme.coupahost.com"),
    StandardField(name="login", label="Client ID", placeholder="Identifier of the OAuth2 client in Coupa"),
    StandardField(name="password", label="Client secret"),
    # Not hidden: the test button of Airflow 3.3.1 and 3.3.2 refuses a stored connection without a port.
    StandardField(name="port", label="Port", placeholder="443 (the test button needs it)"),
    StandardField(name="schema", hidden=True),
)

EXTRA_FIELDS: tuple[ExtraField, ...] = (
    ExtraField(
        name="scopes",
        label="Scopes",
        help="Scopes to ask for, e.g. core.common.read and core.invoice.read. Coupa lists them with "
        "the client under Setup > OAuth2/OpenID Connect Clients. Leave empty for all that the client has.",
        kind="list",
        placeholder="core.common.read core.invoice.read",
    ),
    ExtraField(
        name="grant_type",
        label="Grant type",
        help="How tokens are obtained. Client credentials is the normal one for integrations; refresh token "
        "is for clients that act for a user.",
        kind="choice",
        default="client_credentials",
        choices=(("client_credentials", "Client credentials"), ("refresh_token", "Refresh token")),
    ),
    ExtraField(
        name="refresh_token",
        label="Refresh token",
        help="Only for the grant type refresh token. Coupa gives one to clients with the scope offline_access.",
        kind="secret",
    ),
    ExtraField(
        name="requests_per_second",
        label="Requests per second",
        help="Most requests a second. Coupa allows 25 for all integrations of an instance together, so "
        "lower it when others need their share.",
        kind="number",
        default=24,
        minimum=1,
        maximum=25,
    ),
    ExtraField(
        name="timeout_seconds",
        label="Timeout in seconds",
        help="Longest wait for a connection, and for each piece of an answer.",
        kind="number",
        default=60,
        minimum=1,
        maximum=600,
    ),
    ExtraField(
        name="proxy",
        label="Proxy",
        help="URL of an HTTP proxy on the way to Coupa, e.g. http://proxy.example.com:3128. Not shown "
        "again once saved, as it may hold a password. Leave empty to follow the environment (HTTPS_PROXY).",
        kind="secret",
    ),
    ExtraField(
        name="verify",
        label="Verify TLS",
        help="true checks Coupa's certificate against the usual authorities; the path of a CA bundle, on the "
        "workers, checks it against that; false does not check it and is for tests only.",
        kind="text",
        default="true",
        suggestions=("true", "false"),
        placeholder="true",
    ),
)

_LIST_IN_TEXTAREA = "One per line."
_LIST_IN_TEXT = "Parted by spaces."


def conn_fields() -> dict[str, dict[str, Any]]:
    """Give the extra fields as provider info's ``conn-fields`` (Airflow 3.2 and later)."""
    return {
        field.name: {
            "label": field.label,
            "description": f"{field.help} {_LIST_IN_TEXTAREA}" if field.kind == "list" else field.help,
            "schema": _schema(field),
        }
        for field in EXTRA_FIELDS
    }


def _schema(field: ExtraField) -> dict[str, Any]:
    """Give the JSON schema from which Airflow's form picks the widget; "null" makes it optional."""
    schema: dict[str, Any]
    match field.kind:
        case "list":
            schema = {"type": ["array", "null"], "items": {"type": "string"}}
        case "number":
            schema = {"type": ["number", "null"]}
            if field.minimum is not None:
                schema["minimum"] = field.minimum
            if field.maximum is not None:
                schema["maximum"] = field.maximum
        case "secret":
            schema = {"type": ["string", "null"], "format": "password"}
        case "choice":
            schema = {
                "type": ["string", "null"],
                "enum": [value for value, _ in field.choices],
                "values_display": dict(field.choices),
            }
        case _:
            schema = {"type": ["string", "null"]}
    if field.suggestions:
        schema["examples"] = list(field.suggestions)
    if field.default is not None:
        schema["default"] = field.default
    return schema


def ui_field_behaviour() -> dict[str, Any]:
    """Give what a hook's ``get_ui_field_behaviour`` returns (Airflow 2.11 to 3.1)."""
    behaviour = _standard_fields()
    behaviour["placeholders"].update(
        {field.name: field.placeholder for field in EXTRA_FIELDS if field.placeholder}
    )
    return {
        "hidden_fields": behaviour["hidden"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }


def conn_ui_field_behaviour() -> dict[str, Any]:
    """Give provider info's ``ui-field-behaviour`` (Airflow 3.2 and later)."""
    behaviour = _standard_fields()
    return {
        "hidden-fields": behaviour["hidden"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }


def _standard_fields() -> dict[str, Any]:
    return {
        "hidden": [field.name for field in STANDARD_FIELDS if field.hidden],
        "relabeling": {field.name: field.label for field in STANDARD_FIELDS if field.label},
        "placeholders": {field.name: field.placeholder for field in STANDARD_FIELDS if field.placeholder},
    }


def connection_form_widgets() -> dict[str, Any]:
    """Give what a hook's ``get_connection_form_widgets`` returns (Airflow 2.11 to 3.1).

    Imports are local: Airflow 3.2 and later come without these packages, and Airflow 3.1
    puts stand-ins in their place while it calls this.
    """
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import IntegerField, PasswordField, StringField
    from wtforms.validators import NumberRange, Optional, any_of

    widgets: dict[str, Any] = {}
    for field in EXTRA_FIELDS:
        help_text = f"{field.help} {_LIST_IN_TEXT}" if field.kind == "list" else field.help
        validators = [Optional()]
        field_class, widget = StringField, BS3TextFieldWidget
        if field.kind == "number":
            field_class = IntegerField
            validators.append(NumberRange(min=field.minimum, max=field.maximum))
        elif field.kind == "secret":
            field_class, widget = PasswordField, BS3PasswordFieldWidget
        elif field.kind == "choice":
            validators.append(any_of([value for value, _ in field.choices]))
        widgets[field.name] = field_class(
            lazy_gettext(field.label),
            validators=validators,
            description=help_text,
            default=field.default,
            widget=widget(),
        )
    return widgets
