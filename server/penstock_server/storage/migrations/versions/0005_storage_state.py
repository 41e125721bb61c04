"""Runs by storage state alone: what the web UI counts, off an index of one byte or two a run."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_runs_storage_state", "runs", ["storage_state"])


def downgrade() -> None:
    op.drop_index("ix_runs_storage_state", "runs")
