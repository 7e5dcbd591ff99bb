"""Triggers: what waits for Coupa on an event loop of Airflow's triggerer."""
