"""Waiting for Coupa: what is waited for, and how one look serves many who wait. Nothing here knows Airflow.

A :class:`.wait.Wait` says what is waited for and judges what is found; a :class:`.poll.Poll` looks for all who wait
on the same thing.
"""
