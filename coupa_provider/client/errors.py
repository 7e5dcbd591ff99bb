"""The errors a caller can meet, arranged by what the caller should do.

::

    CoupaError
    ├── CoupaRetryableError            try again later
    │   ├── CoupaRateLimitError            429: the budget is used up
    │   └── CoupaUnavailableError          5xx, network, broken or misdirected answers
    ├── CoupaCredentialsError          fix the connection
    │   ├── CoupaConfigError               a field of the connection is wrong
    │   ├── CoupaAuthenticationError       id, secret or token not accepted
    │   └── CoupaScopeError                a scope is missing
    ├── CoupaDataError                 fix what was asked for or sent
    │   ├── CoupaQueryError                refused here, before anything was sent
    │   ├── CoupaValidationError           refused by Coupa: 400, 422 and other 4xx
    │   ├── CoupaNotFoundError             404
    │   ├── CoupaNotAFileError             data came in place of a file
    │   └── CoupaGraphQLError              errors in the answer to a GraphQL query, whatever its status
    └── CoupaGiveUpError               a person has to look
        ├── CoupaIncompleteError           an extract that cannot be vouched for
        └── CoupaOutcomeUnknownError       a write that may or may not have happened
"""

from __future__ import annotations


class CoupaError(Exception):
    """Base of all errors of this package.

    :param message: what happened and what to do, free of secrets.
    :param status: HTTP status, None where no answer came.
    :param method: HTTP verb of the failed request.
    :param path: path of the failed request, without its query.
    :param request_id: the id Coupa gave the request, where it gave one.
    :param excerpt: beginning of the answer's body, redacted.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        method: str | None = None,
        path: str | None = None,
        request_id: str | None = None,
        excerpt: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.method = method
        self.path = path
        self.request_id = request_id
        self.excerpt = excerpt

    def __str__(self) -> str:
        where = f" [{self.method} {self.path}]" if self.path else ""
        status = f" (HTTP {self.status})" if self.status is not None else ""
        request_id = f" (request id {self.request_id})" if self.request_id else ""
        excerpt = f"\nCoupa's answer began: {self.excerpt}" if self.excerpt else ""
        return f"{self.message}{where}{status}{request_id}{excerpt}"


class CoupaRetryableError(CoupaError):
    """The same request may succeed later."""


class CoupaRateLimitError(CoupaRetryableError):
    """Coupa answered 429 until the attempts were used up.

    :param retry_after: seconds Coupa asked to wait, None where it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **details: object) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.retry_after = retry_after


class CoupaUnavailableError(CoupaRetryableError):
    """Coupa, or the network before it, did not answer properly.

    :param timed_out: the answer took too long, which a smaller request may mend.
    :param retry_after: seconds Coupa asked to wait, as maintenance pages do; None where it did not say.
    """

    def __init__(
        self, message: str, *, timed_out: bool = False, retry_after: float | None = None, **details: object
    ) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.timed_out = timed_out
        self.retry_after = retry_after


class CoupaCredentialsError(CoupaError):
    """The connection has to be mended before anything can work."""


class CoupaConfigError(CoupaCredentialsError, ValueError):
    """A field of the connection is wrong.

    :param field: name of the field as the connection form and the documentation call it.
    """

    def __init__(self, message: str, *, field: str = "", **details: object) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.field = field


class CoupaAuthenticationError(CoupaCredentialsError):
    """Coupa did not accept the client id, the secret or the token."""


class CoupaScopeError(CoupaCredentialsError):
    """The client lacks a scope, or asked for one it was not granted."""


class CoupaDataError(CoupaError):
    """What was asked for or sent is wrong."""


class CoupaQueryError(CoupaDataError, ValueError):
    """A filter, field, path or window was refused here, before anything was sent."""


class CoupaValidationError(CoupaDataError):
    """Coupa refused what was sent.

    :param errors: Coupa's own messages.
    """

    def __init__(self, message: str, *, errors: tuple[str, ...] = (), **details: object) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.errors = errors


class CoupaNotFoundError(CoupaDataError):
    """There is no such record or path, or this client may not see it."""


class CoupaNotAFileError(CoupaDataError):
    """A file was asked for, and data about it came."""


class CoupaGraphQLError(CoupaDataError):
    """The answer to a GraphQL query names errors, with HTTP 200 as a rule, or holds no data.

    :param errors: Coupa's own messages, each with its place in the data or the query.
    :param paths: the place in the data of each, ``"users.0.login"``; empty where none was given.
    """

    def __init__(
        self, message: str, *, errors: tuple[str, ...] = (), paths: tuple[str, ...] = (), **details: object
    ) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.errors = errors
        self.paths = paths


class CoupaGiveUpError(CoupaError):
    """Neither repeating nor a change of the request will help: a person has to look."""


class CoupaIncompleteError(CoupaGiveUpError):
    """A walk met answers that cannot be trusted to hold every record."""


class CoupaOutcomeUnknownError(CoupaGiveUpError):
    """A write was sent but its answer was lost: it may or may not have been executed."""
