"""Recurring runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "recurring_runs",
        sa.Column("recurring_run_id", sa.String(64), nullable=False),
        sa.Column("display_name", sa.String(512), nullable=False),
        sa.Column("description", _TEXT, nullable=False),
        sa.Column("experiment_id", sa.String(64), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("service_account", sa.String(253), nullable=False),
        sa.Column("resource_name", sa.String(63), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=False),
        sa.Column("no_catchup", sa.Boolean(), nullable=False),
        sa.Column("cron", sa.String(255), nullable=False),
        sa.Column("interval_seconds", sa.BigInteger(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("spec_hash", sa.String(64), nullable=False),
        sa.Column("pipeline_id", sa.String(64), nullable=False),
        sa.Column("pipeline_version_id", sa.String(64), nullable=False),
        sa.Column("submitted_spec", _TEXT, nullable=False),
        sa.Column("runtime_config", _TEXT, nullable=True),
        sa.Column("parameters", _TEXT, nullable=False),
        sa.Column("pipeline_root", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("fires", sa.BigInteger(), nullable=False),
        sa.Column("last_fired_at", sa.BigInteger(), nullable=False),
        sa.Column("next_fire_at", sa.BigInteger(), nullable=False),
        sa.Column("error", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("recurring_run_id", name=op.f("pk_recurring_runs")),
    )
    for columns in (
        ["created_at", "recurring_run_id"],
        ["experiment_id", "created_at", "recurring_run_id"],
        ["enabled", "next_fire_at"],
    ):
        op.create_index("ix_recurring_runs_" + "_".join(columns), "recurring_runs", columns)


def downgrade() -> None:
    op.drop_table("recurring_runs")
