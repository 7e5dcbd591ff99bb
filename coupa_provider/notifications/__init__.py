"""What Airflow tells Coupa's users when a task fails."""

from __future__ import annotations
