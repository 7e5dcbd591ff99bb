"""Sensors: tasks that wait for something in Coupa."""
