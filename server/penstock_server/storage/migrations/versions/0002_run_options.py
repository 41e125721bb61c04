"""Options of runs, where tasks stand, and cache entries by pipeline."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INDEX = "ix_cache_entries_pipeline_name_entry_id"


def upgrade() -> None:
    with op.batch_alter_table("runs") as batch:
        batch.add_column(sa.Column("options", sa.String(1024), nullable=False, server_default=""))
    with op.batch_alter_table("tasks") as batch:
        batch.add_column(sa.Column("phase", sa.String(16), nullable=False, server_default=""))
        batch.add_column(sa.Column("wake_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(_INDEX, "cache_entries", ["pipeline_name", "entry_id"])


def downgrade() -> None:
    op.drop_index(_INDEX, "cache_entries")
    with op.batch_alter_table("tasks") as batch:
        batch.drop_column("wake_at")
        batch.drop_column("phase")
    with op.batch_alter_table("runs") as batch:
        batch.drop_column("options")
