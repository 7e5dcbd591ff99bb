"""URLs of folders and manifests, as they are written in DAGs or handed on by other tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    #: URL of a manifest or its folder, or the result of the task that wrote it.
    ManifestArgument = str | ObjectStoragePath | Mapping[str, Any]


def manifest_url(name: str, value: Any) -> str:
    """Return the URL of a manifest.

    :param name: name of the argument, for the message.
    :param value: a URL, or the result of a task, which holds one as ``manifest``.
    :raises AirflowFailException: it is neither.
    """
    if isinstance(value, Mapping):
        if not isinstance(value.get("manifest"), str):
            raise AirflowFailException(
                f"{name} is a dict without 'manifest'. Hand on the result of the task that wrote the extract, for "
                "instance extract.output."
            )
        value = value["manifest"]
    return folder_url(name, value)


def folder_url(name: str, value: Any) -> str:
    """Return a URL that is one.

    :param name: name of the argument, for the message.
    :param value: text or ``ObjectStoragePath``.
    :raises AirflowFailException: it is empty or no URL.
    """
    text = str(value).strip() if value is not None else ""
    if not text or text == "None":
        raise AirflowFailException(f"{name} is empty; look at its template and at the values of this run.")
    if text.startswith("{"):
        raise AirflowFailException(
            f"{name} is the text of a dict. Pass extract.output, or a template that ends in ['manifest'] }}}}."
        )
    if "://" not in text:
        raise AirflowFailException(
            f"{name} {text!r} is no URL. Write for instance 's3://aws_default@lake/coupa', or "
            "'file:///data/coupa' for a folder on the worker."
        )
    return text
