"""What runs were given, for filters of lists. What earlier runs were given is filled in (storage/fills.py)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_EXACT_NAME = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "run_parameters",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("name", _EXACT_NAME, nullable=False),
        sa.Column("text", _EXACT_NAME, nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_run_parameters_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", name="pk_run_parameters"),
    )
    op.create_index("ix_run_parameters_name_text", "run_parameters", ["name", "text"])
    op.create_index("ix_run_parameters_name_number", "run_parameters", ["name", "number"])


def downgrade() -> None:
    op.drop_table("run_parameters")
