"""A backend as the settings want it, with what the rest of the executor has to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_executor.backends.base import Backend


@dataclass(frozen=True, slots=True)
class ConfiguredBackend:
    """`name` is the backend's, as `penstock_ir.backend_limits` has it. `pipeline_root` is that of runs that name none.
    `workspace_path` is where a task finds the workspace of its run; `{run_id}` in it is replaced. At most as many tasks
    as it has `places` run at the same time.
    """

    name: str
    backend: Backend
    pipeline_root: str
    workspace_path: str
    places: int
