"""Apache Airflow provider for Coupa: complete extracts to files, and a hook to read and write records."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
