"""A record that was created or changed shows what was sent, after the documented coercion."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coupa_provider.resources import Attribute, find_resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulator.conftest import Caller

# What Coupa makes of others, or wants to exist; and keys, which must differ from record to record.
_LEFT_OUT = frozenset(
    ("external-ref-code", "lookup-id", "parent-id", "account-type-id", "rate-date", "last-exported-at")
)
_REQUIRED: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "addresses": lambda key: {"location-code": key},
    "contracts": lambda key: {"name": key, "number": key},
    "departments": lambda key: {"name": key},
    "invoices": lambda key: {"invoice-number": key, "supplier": {"id": 17}},
    "items": lambda key: {"name": key, "item-number": key, "manufacturer-part-number": key},
    "purchase_orders": lambda key: {"po-number": key, "supplier": {"id": 17}},
    "requisitions": lambda key: {"external-po-reference": key},
    "suppliers": lambda key: {"name": key, "number": key, "cxml-invoice-supplier-identity": key},
    "users": lambda key: {
        "login": key,
        "email": f"{key}@example.com",
        "employee-number": key,
        "mention-name": key,
        "firstname": "A",
        "lastname": "B",
    },
}
_keys = (f"key{number}" for number in itertools.count())
# Neither surrogates, which JSON cannot hold, nor NUL.
_letters = st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00")
_instants = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


def _is_word(attribute: Attribute) -> bool:
    """Some attributes have words, though tables call them integers."""
    words = attribute.allowed if attribute.base in ("string", "integer") else ()
    return any(attribute.base == "string" or not word.isdecimal() for word in words)


def values(attribute: Attribute) -> st.SearchStrategy[Any]:
    """What a client may send for an attribute."""
    if _is_word(attribute):
        return st.sampled_from(attribute.allowed)
    if attribute.name == "email" or attribute.name.endswith("-email"):
        return st.integers(0, 999).map(lambda number: f"a{number}@example.com")
    if attribute.base in ("string", "text"):
        return st.text(_letters, max_size=min(attribute.size or 60, 60))
    whole = st.integers(-(2**31), 2**31 - 1)
    if attribute.base == "integer":
        return whole | whole.map(str)
    if attribute.base in ("decimal", "float"):
        exact = st.decimals(-(10**9), 10**9, places=4)
        return exact.map(str) | exact.map(float) if attribute.base == "float" else exact.map(str) | whole
    if attribute.base == "boolean":
        return st.booleans() | st.sampled_from(["true", "false", "yes", "no", "1", "0"])
    if attribute.base == "datetime":
        return _instants.map(lambda instant: instant.replace(microsecond=0).isoformat())
    return st.dates(date(1990, 1, 1), date(2040, 1, 1)).map(date.isoformat)


def is_kept(attribute: Attribute, sent: Any, shown: Any) -> bool:
    if attribute.base == "integer" and not _is_word(attribute):
        return shown == int(sent)
    if attribute.base == "decimal":
        return isinstance(shown, str) and Decimal(shown) == Decimal(str(sent))
    if attribute.base == "float":
        return bool(shown == float(sent))
    if attribute.base == "boolean":
        return shown is (str(sent).lower() in ("true", "yes", "1"))
    if attribute.base == "datetime":
        return datetime.fromisoformat(shown) == datetime.fromisoformat(sent)
    return bool(shown == sent)


def scalars(path: str) -> dict[str, Attribute]:
    resource = find_resource(path)
    assert resource is not None
    keys = set(_REQUIRED[path]("")) | _LEFT_OUT
    return {
        name: attribute
        for name, attribute in resource.attributes.items()
        if attribute.writable
        and attribute.readable
        and not attribute.nested
        and name not in keys
        # Those are the ids of references.
        and not (name.endswith("-id") and name.removesuffix("-id") in resource.attributes)
    }


@pytest.fixture(scope="module")
def filled(module_emulator: Any) -> Caller:
    from tests.emulator.conftest import Caller

    module_emulator.reset()
    module_emulator.load({"suppliers": [{"id": 17, "name": "Fishy"}]})
    return Caller(module_emulator)


@pytest.mark.parametrize("path", sorted(_REQUIRED))
def test_created_changed_and_read(filled: Caller, path: str) -> None:
    attributes = scalars(path)
    assert attributes

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        def payload() -> dict[str, Any]:
            names = data.draw(st.lists(st.sampled_from(sorted(attributes)), unique=True, max_size=12))
            return {name: data.draw(values(attributes[name]), label=name) for name in names}

        first, second, underscored = payload(), payload(), data.draw(st.booleans())
        key = _REQUIRED[path](next(_keys))
        made = filled.send("POST", path, {**key, **first})
        assert made.status_code == 201, made.text
        record_id = made.json()["id"]
        assert filled.get(f"{path}/{record_id}").json() == made.json()
        body = {name.replace("-", "_"): value for name, value in second.items()} if underscored else second
        changed = filled.send("PUT", f"{path}/{record_id}", body)
        expected = {**first, **second}
        if path == "addresses" and made.json()["active"] is False:
            # Documented: an inactive address cannot be updated.
            assert changed.status_code == 400
            expected = first
        else:
            assert changed.status_code == 200, changed.text
        shown = filled.get(f"{path}/{record_id}").json()
        wrong = {
            name: (sent, shown[name])
            for name, sent in expected.items()
            if not is_kept(attributes[name], sent, shown[name])
        }
        assert wrong == {}

    run()


_junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "code", "lookup", "account-type", "line-num", "price", "_delete"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("path", sorted(_REQUIRED))
def test_no_payload_is_an_internal_error(filled: Caller, path: str) -> None:
    resource = find_resource(path)
    assert resource is not None
    names = st.sampled_from(sorted([*resource.attributes, "custom-fields", "_cancel"]))
    record_id = filled.send("POST", path, _REQUIRED[path](next(_keys))).json()["id"]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(payload=st.dictionaries(names, _junk, min_size=1, max_size=8))
    def run(payload: dict[str, Any]) -> None:
        for method, target in (("POST", path), ("PUT", f"{path}/{record_id}")):
            answer = filled.send(method, target, payload)
            assert answer.status_code in (200, 201, 400), answer.text
            assert answer.json()

    run()


@pytest.mark.parametrize("query", ["suppliers/99999999999999999999", "suppliers?id=99999999999999999999"])
def test_no_id_is_too_large_to_be_missing(filled: Caller, query: str) -> None:
    assert filled.get(query).status_code in (400, 404)
