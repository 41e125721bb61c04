"""Which task used or made which artifact. What earlier runs did is filled in afterwards (storage/fills.py)."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_INDEX = "ix_artifact_uses_artifact_name_output_created_at"


def upgrade() -> None:
    op.create_table(
        "artifact_uses",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("task_id", sa.String(64), nullable=False),
        sa.Column("artifact_name", sa.String(128), nullable=False),
        sa.Column("output", sa.Boolean(), nullable=False),
        sa.Column("port", sa.String(255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_artifact_uses_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "task_id", "artifact_name", "output", "port", name="pk_artifact_uses"),
    )
    op.create_index(_INDEX, "artifact_uses", ["artifact_name", "output", "created_at"])


def downgrade() -> None:
    op.drop_table("artifact_uses")
