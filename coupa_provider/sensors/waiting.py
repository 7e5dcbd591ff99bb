"""What the sensors have in common: three modes, one outcome."""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from coupa_provider.sensors.failure_count import FailureCount

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.hooks.coupa import CoupaHook
    from coupa_provider.triggers.waiting import CoupaWaitTrigger
    from coupa_provider.watch.verdict import Verdict
    from coupa_provider.watch.wait import Progress, Wait

#: The trigger ends the wait itself, naming what it waited for; Airflow steps in so much later.
_BACKSTOP = timedelta(minutes=10)


class CoupaWaitingSensor(BaseSensorOperator):
    """Waits for something in Coupa, with the same outcome in each mode.

    Coupa may be out of reach meanwhile: failures are borne until ``max_failures`` of them came in a row. What Coupa
    refuses for good, such as a wrong secret, ends the wait at once.

    :param max_failures: looks at Coupa that fail in a row before the sensor gives up. Each has been tried three times.
        In deferrable mode a triggerer that is restarted counts anew. ``silent_fail=True`` bears any number.
    :param deferrable: wait on the triggerer, where all sensors of a connection and resource share their requests.
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    ui_color = "#e0f0ff"
    #: Waits for the same in deferrable mode.
    trigger_class: type[CoupaWaitTrigger]

    def __init__(
        self,
        *,
        max_failures: int = 20,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < 1:
            raise ValueError(f"max_failures must be a whole number, 1 or more; got {max_failures!r}.")
        self.max_failures = max_failures
        self.deferrable = deferrable
        self.coupa_conn_id = coupa_conn_id
        self._progress: Progress | None = None

    @abstractmethod
    def read_wait(self, context: Context) -> Wait:
        """Return what is waited for, from the rendered arguments."""

    def trigger(self, wait: Wait, timeout_at: float) -> CoupaWaitTrigger:
        """Return the trigger that waits for the same.

        :param wait: what is waited for.
        :param timeout_at: when the time is up, in seconds since 1970.
        """
        return self.trigger_class(
            arguments=wait.arguments(),
            poke_interval=self.poke_interval,
            timeout_at=timeout_at,
            max_failures=self._most_failures,
            bears_everything=self.silent_fail,
            coupa_conn_id=self.coupa_conn_id,
        )

    def finish(self, context: Context, verdict: Verdict) -> Any:
        """Return the task's result, after the wait was met."""
        return verdict.result

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection, which looks again soon and so need not insist."""
        from coupa_provider.client.retry import RetryPolicy
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id, retry=RetryPolicy(attempts=3))

    def execute(self, context: Context) -> Any:
        """Wait.

        :return: what was waited for.
        :raises AirflowFailException: it can not come true any more, or Coupa refuses to tell.
        :raises AirflowSensorTimeout: the time is up.
        :raises AirflowException: Coupa could not be asked for too long.
        """
        from coupa_provider.hooks.errors import fail_without_retry

        with fail_without_retry():
            wait = self.read_wait(context)
            _ = self.hook.config  # a wrong connection is told at once, whatever the mode
        if self.deferrable:
            self.defer(
                trigger=self.trigger(wait, time.time() + self.timeout),
                method_name="execute_complete",
                timeout=timedelta(seconds=self.timeout + self.poke_interval) + _BACKSTOP,
            )
        self._progress = self._begin(wait)
        with closing(self.hook):
            try:
                return super().execute(context)
            except (AirflowSensorTimeout, AirflowSkipException) as end:
                last = self._progress.last
                if last is None or last.final:
                    raise
                if self.reschedule:
                    FailureCount(context).clear()
                # Airflow's own message tells how long, not what for; and never_fail it heeds when deferred only.
                kind = AirflowSkipException if self.never_fail else type(end)
                raise kind(f"{end} {last.timed_out().reason}.") from None

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        from coupa_provider.client.blocking import run_in_background
        from coupa_provider.watch.wait import look_once

        progress = self._progress = self._progress or self._begin(self.read_wait(context))
        count = FailureCount(context) if self.reschedule else None
        if count is not None:
            progress.patience.failures = count.read()
        verdict = run_in_background(look_once(self.hook.get_conn().client, progress))
        if count is not None:
            count.write(0 if verdict.final else progress.patience.failures)
        if not verdict.final:
            self.log.info("%s.", verdict.reason)
            return False
        return PokeReturnValue(True, self._conclude(context, verdict))

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on after the trigger's verdict."""
        from coupa_provider.watch.verdict import Verdict

        if event is None:
            raise AirflowException("The trigger ended without a verdict.")
        with closing(self.hook):
            return self._conclude(context, Verdict.from_event(event))

    def _begin(self, wait: Wait) -> Progress:
        from coupa_provider.watch.patience import Patience
        from coupa_provider.watch.wait import Progress

        return Progress(wait, Patience(self._most_failures), bears_everything=self.silent_fail)

    @property
    def _most_failures(self) -> int | None:
        return None if self.silent_fail else self.max_failures

    def _conclude(self, context: Context, verdict: Verdict) -> Any:
        from coupa_provider.watch.verdict import State

        if verdict.state is State.MET:
            self.log.info("%s.", verdict.reason)
            return self.finish(context, verdict)
        message = f"{verdict.reason}."
        if self.soft_fail or self.never_fail:
            # Airflow would do it for some ends, in some modes; deferred, Airflow 3 hides the reason.
            self.log.warning("Skipping: %s", message)
            raise AirflowSkipException(message)
        if verdict.state in (State.NEVER, State.REFUSED):
            raise AirflowFailException(message)
        if verdict.state is State.TIMED_OUT:
            raise AirflowSensorTimeout(message)
        raise AirflowException(message)
