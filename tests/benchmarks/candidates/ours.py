"""This provider, as a DAG uses it: ``execute`` of its operator, to a folder on this machine."""

from __future__ import annotations

from measuring import Task, measure

from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator


def work(task: Task) -> int:
    operator = CoupaToObjectStorageOperator(
        task_id="invoices",
        resource="invoices",
        filters={"id[lt_or_eq]": task.last_id},
        destination=f"file://{task.folder}",
        file_format=task.file_format,
    )
    return operator.execute({})["records"]


if __name__ == "__main__":
    measure(work)
