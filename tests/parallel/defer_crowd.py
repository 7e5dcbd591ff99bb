"""Defer all mapped sensors of a run, as hundreds of task processes would within some minutes: ``defer_crowd.py RUN_ID``.

A script for the interpreter and the settings of a running Airflow. A sensor's row and its trigger's get what Airflow's
API server would put there, once the sensor has asked a worker to be deferred.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.sdk.serde import serialize
from airflow.utils import timezone
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select

from coupa_provider.sensors.coupa import CoupaRecordSensor
from coupa_provider.watch.record_wait import RecordWait
from tests.parallel.dags.waiting import ARGUMENTS

LIMIT = timedelta(hours=1)

with create_session() as session:
    run = session.scalars(select(DagRun).where(DagRun.run_id == sys.argv[1])).one()
    tasks = session.scalars(select(TaskInstance).where(TaskInstance.run_id == run.run_id)).all()
    for task in tasks:
        sensor = CoupaRecordSensor(task_id=task.task_id, record_id=task.map_index + 1, **ARGUMENTS)
        wait = RecordWait.parse(sensor.resource, record_id=sensor.record_id, until=sensor.until)
        classpath, kwargs = sensor.trigger(wait, time.time() + LIMIT.total_seconds()).serialize()
        trigger = Trigger(classpath=classpath, kwargs={})
        trigger.encrypted_kwargs = json.dumps(serialize(kwargs))
        session.add(trigger)
        session.flush()
        task.state, task.trigger_id = TaskInstanceState.DEFERRED, trigger.id
        task.next_method, task.next_kwargs = "execute_complete", serialize({})
        task.start_date, task.trigger_timeout = timezone.utcnow(), timezone.utcnow() + LIMIT
    run.state = DagRunState.RUNNING
