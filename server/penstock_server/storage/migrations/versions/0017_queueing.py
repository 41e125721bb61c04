"""Ranks of the runs that wait. Those that have ended keep 0: a retry gives them a new one."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("queue_rank", sa.BigInteger(), nullable=False, server_default="0"))
    runs = sa.table("runs", sa.column("queue_rank"), sa.column("created_at"), sa.column("claimable", sa.Boolean()))
    op.execute(runs.update().where(runs.c.claimable.is_(True)).values(queue_rank=runs.c.created_at))
    op.create_index("ix_runs_claimable_queue_rank_run_id", "runs", ["claimable", "queue_rank", "run_id"])


def downgrade() -> None:
    op.drop_index("ix_runs_claimable_queue_rank_run_id", "runs")
    op.drop_column("runs", "queue_rank")
