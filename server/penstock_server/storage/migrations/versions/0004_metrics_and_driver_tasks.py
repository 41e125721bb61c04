"""Scalar metrics of runs, to sort by; tasks that upstream's drivers report; tasks by Pod."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_metrics",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_run_metrics_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_metrics")),
    )
    op.create_index("ix_run_metrics_name_value_run_id", "run_metrics", ["name", "value", "run_id"])
    op.create_table(
        "driver_tasks",
        sa.Column("task_id", sa.String(64), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("pipeline_name", sa.String(255), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("execution_id", sa.String(63), nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_driver_tasks")),
    )
    op.create_index("ix_driver_tasks_fingerprint_created_at", "driver_tasks", ["fingerprint", "created_at"])
    op.create_index("ix_driver_tasks_created_at_task_id", "driver_tasks", ["created_at", "task_id"])

    op.create_index("ix_tasks_pod_name", "tasks", ["pod_name"])


def downgrade() -> None:
    op.drop_index("ix_tasks_pod_name", "tasks")
    op.drop_table("driver_tasks")
    op.drop_table("run_metrics")
