"""Apache Airflow provider for Coupa: pull procurement data into files, push data into Coupa."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
