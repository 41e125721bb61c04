"""Whether the Pod of a task was that of other runs too.

Why: who names a Pod and no run has the rights that the Pod's run asks for. A Pod that tasks of several runs shared is
no run's.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists

from penstock_server.storage.tables import tasks


def of_one_run() -> ColumnElement[bool]:
    """Of a row of `tasks`: no other run has a task with its Pod."""
    others = tasks.alias()
    same_pod = others.c.pod_name == tasks.c.pod_name
    return ~exists().where(same_pod, others.c.run_id != tasks.c.run_id).correlate(tasks)
