"""Ranks of the runs that wait, pools of slots. Runs that have ended keep rank 0: a retry gives them a new one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_EXACT_NAME = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")
_INDEX = "ix_slot_demands_granted_pool_name_pool_namespace_queue_rank"


def upgrade() -> None:
    op.add_column("runs", sa.Column("queue_rank", sa.BigInteger(), nullable=False, server_default="0"))
    runs = sa.table("runs", sa.column("queue_rank"), sa.column("created_at"), sa.column("claimable", sa.Boolean()))
    op.execute(runs.update().where(runs.c.claimable.is_(True)).values(queue_rank=runs.c.created_at))
    op.create_index("ix_runs_claimable_queue_rank_run_id", "runs", ["claimable", "queue_rank", "run_id"])
    op.add_column("runs", sa.Column("takes_slots", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "pools",
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("name", _EXACT_NAME, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=True),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "name", name="pk_pools"),
    )
    key = ("run_id", "task_id", "attempt", "pool_namespace", "pool_name")
    op.create_table(
        "slot_demands",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("task_id", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("pool_namespace", sa.String(63), nullable=False),
        sa.Column("pool_name", _EXACT_NAME, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("queue_rank", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_slot_demands_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(*key, name="pk_slot_demands"),
    )
    op.create_index(_INDEX, "slot_demands", ["granted", "pool_name", "pool_namespace", "queue_rank"])


def downgrade() -> None:
    op.drop_table("slot_demands")
    op.drop_table("pools")
    op.drop_column("runs", "takes_slots")
    op.drop_index("ix_runs_claimable_queue_rank_run_id", "runs")
    op.drop_column("runs", "queue_rank")
