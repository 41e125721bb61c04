"""Indexes for the lists of one namespace."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_IDS = {
    "experiments": "experiment_id",
    "pipelines": "pipeline_id",
    "runs": "run_id",
    "recurring_runs": "recurring_run_id",
    "driver_tasks": "task_id",
}


def upgrade() -> None:
    for table, identifier in _IDS.items():
        op.create_index(_name(table, identifier), table, ["namespace", "created_at", identifier])


def downgrade() -> None:
    for table, identifier in _IDS.items():
        op.drop_index(_name(table, identifier), table)


def _name(table: str, identifier: str) -> str:
    return f"ix_{table}_namespace_created_at_{identifier}"
