"""Attempts of tasks, with the times of their phases."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
_TIMES = (
    "created_at",
    "placed_at",
    "scheduled_at",
    "prepared_at",
    "fetched_at",
    "started_at",
    "finished_at",
    "stored_at",
    "ended_at",
)


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("task_id", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, autoincrement=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _TIMES),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("error", _LONG_TEXT, nullable=False),
        sa.Column("pod_name", sa.String(253), nullable=False),
        sa.Column("log_uri", _LONG_TEXT, nullable=False),
        sa.Column("node", sa.String(253), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_attempts_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "task_id", "attempt", name="pk_attempts"),
    )


def downgrade() -> None:
    op.drop_table("attempts")
