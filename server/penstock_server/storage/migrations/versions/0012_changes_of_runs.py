"""Changes of runs are counted, so that who watches one reads what is new; tasks are found by their parent."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INDEXED = (("parent_id", "ordinal"), ("changed",))


def upgrade() -> None:
    op.add_column("runs", sa.Column("changes", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("tasks", sa.Column("parent_id", sa.String(64), nullable=True))
    op.add_column("tasks", sa.Column("changed", sa.BigInteger(), nullable=False, server_default="0"))
    for columns in _INDEXED:
        op.create_index(_name(columns), "tasks", ["run_id", *columns])


def downgrade() -> None:
    for columns in _INDEXED:
        op.drop_index(_name(columns), "tasks")
    op.drop_column("tasks", "changed")
    op.drop_column("tasks", "parent_id")
    op.drop_column("runs", "changes")


def _name(columns: tuple[str, ...]) -> str:
    return "_".join(("ix_tasks_run_id", *columns))
