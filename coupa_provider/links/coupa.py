"""The button that leads from a task to its record in Coupa."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.hooks.coupa import CoupaHook

_XCOM_KEY = "coupa_record_url"


class CoupaRecordLink(BaseOperatorLink):
    """Opens the record in Coupa's own pages.

    The task notes the address, since only the task knows the connection: Airflow 2.11 asks for links in the
    webserver, Airflow 3 when the task ends.
    """

    name = "Open in Coupa"

    @staticmethod
    def persist(context: Context, hook: CoupaHook, resource: str, record_id: int | str | None) -> None:
        """Note where the record of a task is to be seen; nothing where that is not known.

        :param context: of the running task.
        :param hook: the hook whose connection leads to the instance.
        :param resource: path of the resource under ``/api``.
        :param record_id: id of the record, None where there is none.
        """
        from coupa_provider.resources.ui_paths import record_url

        task = context.get("ti")
        if task is None or not str(record_id or "").strip().isdecimal():
            return
        url = record_url(hook.config.base_url, resource, str(record_id))
        if url is not None:
            task.xcom_push(key=_XCOM_KEY, value=url)

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, empty where the task noted none.

        :param operator: the task.
        :param ti_key: key of the task instance.
        """
        return XCom.get_value(ti_key=ti_key, key=_XCOM_KEY) or ""
