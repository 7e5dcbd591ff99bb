"""Six tasks, four at a time, each of which waits until it has seen four at once."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, get_current_context, task

NUMBERS, AT_A_TIME = 6, 4

with DAG("side_by_side", schedule=None):

    @task(retries=2, retry_delay=timedelta(0), max_active_tis_per_dagrun=AT_A_TIME)
    def work(number: int) -> dict[str, float]:
        """Meet the others; the number that the run's conf calls ``hangs`` never ends its first try."""
        context = get_current_context()
        conf = context["dag_run"].conf
        meeting = Path(conf["meeting"])
        started = time.time()
        (meeting / str(number)).touch()
        while len(list(meeting.iterdir())) < AT_A_TIME:
            time.sleep(0.1)
        while number == conf.get("hangs") and context["ti"].try_number == 1:
            (meeting / f"{number}-alive").write_text(str(time.time()))
            time.sleep(0.1)
        return {"started": started, "ended": time.time()}

    work.expand(number=list(range(NUMBERS)))
