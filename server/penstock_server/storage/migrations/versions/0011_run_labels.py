"""Labels of runs, who created a run, and the runs of one pipeline or user by time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
_EXACT_NAME = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")
_INDEXED = ("pipeline_id", "created_by")


def upgrade() -> None:
    op.add_column("runs", sa.Column("labels", _LONG_TEXT, nullable=True))
    op.add_column("runs", sa.Column("created_by", _EXACT_NAME, nullable=False, server_default=""))
    for column in _INDEXED:
        op.create_index(_name(column), "runs", [column, "created_at", "run_id"])
    op.create_table(
        "run_labels",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("label_key", _EXACT_NAME, nullable=False),
        sa.Column("label_value", _EXACT_NAME, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_run_labels_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "label_key", name="pk_run_labels"),
    )
    op.create_index("ix_run_labels_label_key_label_value", "run_labels", ["label_key", "label_value"])


def downgrade() -> None:
    op.drop_table("run_labels")
    for column in _INDEXED:
        op.drop_index(_name(column), "runs")
    op.drop_column("runs", "created_by")
    op.drop_column("runs", "labels")


def _name(column: str) -> str:
    return f"ix_runs_{column}_created_at_run_id"
