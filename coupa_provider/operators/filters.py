"""Filters, as templates leave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException


def check_filters(value: Any) -> None:
    """Make sure that filters are a dict, or none.

    :param value: what the templates rendered to.
    :raises AirflowFailException: it is something else.
    """
    if value and not isinstance(value, Mapping):
        raise AirflowFailException(
            f"filters must be a dict, such as {{'status[in]': ['approved']}}, not {type(value).__name__}. "
            "A template that stands for the whole dict needs render_template_as_native_obj=True on the DAG."
        )
