"""Attach a file from object storage to a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from coupa_provider.links.coupa import CoupaRecordLink
from coupa_provider.operators.single_call import SingleCallOperator, is_later_try
from coupa_provider.operators.urls import folder_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath


class CoupaUploadAttachmentOperator(SingleCallOperator):
    """Attach a file to a record, or give an invoice its scan, once.

    The file is read while it is sent, so that it may be large. Where an answer was lost, the record's attachments are
    looked through for one of the same name and size before it is sent again; a later try of the task looks for one
    made since the run began. What cannot be told fails without retry.

    The task's result: ``resource``, ``record_id``, ``attachment_id`` (None for a scan), ``name``, ``bytes`` and
    ``created``, False where an earlier try had attached it.

    :param resource: path under ``/api``: ``"invoices"``. (templated)
    :param record_id: id of the record. (templated)
    :param file: URL of the file, as for ``ObjectStoragePath``: ``"s3://aws_default@lake/scans/17.pdf"``. (templated)
    :param name: file name that Coupa shows; None for that of the file. (templated)
    :param intent: who may see it: ``"Internal"``, or ``"Supplier"`` for the supplier as well. (templated: no)
    :param kind: ``"attachment"``, or ``"image_scan"`` for the scan of an invoice, which replaces the one it has.
        (templated: no)
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    operator_extra_links = (CoupaRecordLink(),)
    template_fields: Sequence[str] = ("resource", "record_id", "file", "name")

    def __init__(
        self,
        *,
        resource: str,
        record_id: int | str,
        file: str | ObjectStoragePath,
        name: str | None = None,
        intent: str = "Internal",
        kind: str = "attachment",
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(coupa_conn_id=coupa_conn_id, **kwargs)
        self.resource = resource
        self.record_id = record_id
        self.file = file
        self.name = name
        self.intent = intent
        self.kind = kind

    def execute(self, context: Context) -> dict[str, Any]:
        """Attach the file.

        :raises AirflowFailException: there is no such file or record, Coupa refused it, or it cannot be told whether
            it is attached; a retry is useless.
        """
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        from coupa_provider.push.attach import attach_once, put_scan

        if self.kind not in ("attachment", "image_scan"):
            raise AirflowFailException(f"kind {self.kind!r} is neither 'attachment' nor 'image_scan'.")
        if self.kind == "image_scan" and self.resource.strip("/") != "invoices":
            raise AirflowFailException(f"Only invoices have a scan, not {self.resource!r}.")
        path = ObjectStoragePath(folder_url("file", self.file))
        name = self.name or path.name
        since = context["dag_run"].start_date if is_later_try(context) else None
        self.link(context, self.resource, self.record_id)
        try:
            opened = path.fs.open(path.path, "rb")
        except (FileNotFoundError, IsADirectoryError):
            raise AirflowFailException(f"There is no file {path}.") from None
        with opened as source:
            if self.kind == "image_scan":
                done = self.call(lambda client: put_scan(client, self.record_id, source, name=name))
            else:
                done = self.call(
                    lambda client: attach_once(
                        client,
                        self.resource,
                        self.record_id,
                        source,
                        name=name,
                        intent=self.intent,
                        since=since,
                    )
                )
        self.log.info(
            "%s %s: %s bytes %s", self.resource, self.record_id, f"{done.bytes:,}",
            "attached" if done.created else "were attached by an earlier try",
        )  # fmt: skip
        return {
            "resource": self.resource,
            "record_id": self.record_id,
            "attachment_id": done.id,
            "name": name,
            "bytes": done.bytes,
            "created": done.created,
        }
