"""What a failed call to Coupa means for the task that made it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fail_without_retry() -> Iterator[None]:
    """Fail the task at once where another try would fail the same way.

    Errors that may pass by themselves go on as they are, for Airflow's own retries.

    :raises AirflowFailException: in place of ``CoupaCredentialsError``, ``CoupaDataError`` and
        ``CoupaGiveUpError``.
    """
    from airflow.providers.common.compat.sdk import AirflowFailException

    from coupa_provider.client.errors import CoupaCredentialsError, CoupaDataError, CoupaGiveUpError

    try:
        yield
    except (CoupaCredentialsError, CoupaDataError, CoupaGiveUpError) as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
