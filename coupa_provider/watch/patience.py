"""How long failures to ask Coupa are borne. A pure decision."""

from __future__ import annotations

from coupa_provider.client.errors import CoupaError, CoupaIncompleteError, CoupaRetryableError
from coupa_provider.watch.verdict import State, Verdict


class Patience:
    """Counts failures in a row.

    :param max_failures: so many in a row end the wait; None bears any number.
    :param failures: those in a row so far.
    """

    def __init__(self, max_failures: int | None, failures: int = 0) -> None:
        self.max_failures = max_failures
        self.failures = failures

    def answered(self) -> None:
        """Note that Coupa answered."""
        self.failures = 0

    def failed(self, error: CoupaError) -> Verdict:
        """Decide after a look that failed.

        :param error: why it failed. What Coupa refuses for good ends the wait at once; an outage, or an answer that
            cannot be trusted, is counted.
        """
        cause = f"{type(error).__name__}: {error}"
        if not isinstance(error, CoupaRetryableError | CoupaIncompleteError):
            return Verdict(State.REFUSED, cause)
        self.failures += 1
        if self.max_failures is not None and self.failures >= self.max_failures:
            times = "once" if self.failures == 1 else f"{self.failures} times in a row"
            return Verdict(State.GAVE_UP, f"Coupa could not be asked {times}, the last time: {cause}")
        most = "" if self.max_failures is None else f" of {self.max_failures}"
        return Verdict(State.WAITING, f"Coupa could not be asked (failure {self.failures}{most}): {cause}")
