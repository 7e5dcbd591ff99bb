"""Wait for records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from coupa_provider.links.coupa import CoupaRecordLink
from coupa_provider.sensors.waiting import CoupaWaitingSensor
from coupa_provider.triggers.record import CoupaRecordTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.watch.record_wait import RecordWait


class CoupaRecordSensor(CoupaWaitingSensor):
    """Wait until a record, or the records that match a query, are as they should be.

    ``until`` and ``never`` are written as Coupa's filters are: ``{"status[in]": ["approved", "processing"]}``,
    ``{"supplier[status]": "active"}``, ``{"gross-total[gt]": 0}``. They are held against what Coupa shows.

    The task's result: the record, or the list of records, with the attributes of ``fields``.

    :param resource: path under ``/api``: ``"invoices"``. (templated)
    :param record_id: id of the one record. (templated)
    :param filters: in place of it, a query; its records are waited for together, at most 1,000. (templated)
    :param until: conditions that each of the records has to satisfy; None to wait until they are there. (templated)
    :param never: conditions that end the wait as a failure as soon as one of the records satisfies them. None for
        the statuses that the resource's records do not leave again, where ``until`` speaks of ``status``; ``{}`` for
        none. (templated)
    :param min_records: so many records there have to be.
    :param max_records: so many there may be, None for any number; with 0, and ``min_records=0``, it waits until there
        is none.
    :param predicate: dotted path of a function that is given the records when all else is met and says whether they
        will do: ``"acme_checks.is_complete"``. Workers and triggerers have to be able to import it. (templated)
    :param fields: attributes to return, nested, beside those that the conditions speak of; None for these and
        ``status``, or with a ``predicate``, which gets the same, for Coupa's default ones. (templated: no)
    :param kwargs: ``poke_interval`` and ``timeout`` in seconds, ``mode``, ``soft_fail`` and others, as of every sensor;
        ``max_failures``, ``deferrable`` and ``coupa_conn_id`` of :class:`.waiting.CoupaWaitingSensor`.
    """

    operator_extra_links = (CoupaRecordLink(),)
    trigger_class = CoupaRecordTrigger
    template_fields: Sequence[str] = ("resource", "record_id", "filters", "until", "never", "predicate")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "filters": "json",
        "until": "json",
        "never": "json",
    }

    def __init__(
        self,
        *,
        resource: str,
        record_id: int | str | None = None,
        filters: Mapping[str, Any] | None = None,
        until: Mapping[str, Any] | None = None,
        never: Mapping[str, Any] | None = None,
        min_records: int = 1,
        max_records: int | None = None,
        predicate: str | None = None,
        fields: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.resource = resource
        self.record_id = record_id
        self.filters = filters
        self.until = until
        self.never = never
        self.min_records = min_records
        self.max_records = max_records
        self.predicate = predicate
        self.fields = fields

    def read_wait(self, context: Context) -> RecordWait:
        """Return what is waited for."""
        from coupa_provider.watch.record_wait import RecordWait

        wait = RecordWait.parse(
            self.resource,
            record_id=self.record_id,
            filters=self.filters,
            until=self.until,
            never=self.never,
            min_records=self.min_records,
            max_records=self.max_records,
            predicate=self.predicate,
            fields=self.fields,
        )
        CoupaRecordLink.persist(context, self.hook, wait.resource, wait.record_id)
        return wait
