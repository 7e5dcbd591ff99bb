"""The tree of errors is a contract: callers decide by class, and read the facts from attributes."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from coupa_provider.client import errors

TREE = {
    "CoupaError": "Exception",
    "CoupaRetryableError": "CoupaError",
    "CoupaRateLimitError": "CoupaRetryableError",
    "CoupaUnavailableError": "CoupaRetryableError",
    "CoupaCredentialsError": "CoupaError",
    "CoupaConfigError": "CoupaCredentialsError",
    "CoupaAuthenticationError": "CoupaCredentialsError",
    "CoupaScopeError": "CoupaCredentialsError",
    "CoupaDataError": "CoupaError",
    "CoupaQueryError": "CoupaDataError",
    "CoupaValidationError": "CoupaDataError",
    "CoupaNotFoundError": "CoupaDataError",
    "CoupaNotAFileError": "CoupaDataError",
    "CoupaGraphQLError": "CoupaDataError",
    "CoupaGiveUpError": "CoupaError",
    "CoupaIncompleteError": "CoupaGiveUpError",
    "CoupaOutcomeUnknownError": "CoupaGiveUpError",
}
CLASSES = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}


def make(kind):
    own = {"field": "host"} if kind is errors.CoupaConfigError else {}
    return kind(
        "What happened", status=418, method="PUT", path="/api/x/1", request_id="r-1", excerpt="teapot", **own
    )


def test_the_tree_is_as_documented():
    assert {name: kind.__bases__[0].__name__ for name, kind in CLASSES.items()} == TREE


def test_the_docstring_draws_the_tree():
    for name in TREE:
        assert f" {name}" in f" {errors.__doc__}"


@pytest.mark.parametrize("name", TREE)
def test_every_error_holds_and_shows_what_is_known(name):
    error = make(CLASSES[name])
    assert (error.status, error.method, error.path) == (418, "PUT", "/api/x/1")
    assert (error.message, error.request_id, error.excerpt) == ("What happened", "r-1", "teapot")
    assert str(error) == (
        "What happened [PUT /api/x/1] (HTTP 418) (request id r-1)\nCoupa's answer began: teapot"
    )


@pytest.mark.parametrize("name", TREE)
def test_every_error_survives_a_copy_and_a_pickle(name):
    error = make(CLASSES[name])
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_without_details_only_the_message_is_shown():
    assert str(errors.CoupaError("Just this")) == "Just this"


def test_what_a_caller_sent_wrong_is_a_value_error_too():
    assert issubclass(errors.CoupaConfigError, ValueError)
    assert issubclass(errors.CoupaQueryError, ValueError)


def test_own_facts():
    assert errors.CoupaRateLimitError("x", retry_after=3.5).retry_after == 3.5
    assert errors.CoupaUnavailableError("x", retry_after=3.5).retry_after == 3.5
    assert errors.CoupaUnavailableError("x", timed_out=True).timed_out is True
    assert errors.CoupaUnavailableError("x").timed_out is False
    assert errors.CoupaValidationError("x", errors=("a", "b")).errors == ("a", "b")
    assert errors.CoupaConfigError("x", field="port").field == "port"
