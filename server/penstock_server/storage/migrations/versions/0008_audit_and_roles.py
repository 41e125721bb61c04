"""The audit log and role bindings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column(
            "event_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("groups", _LONG_TEXT, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("method", sa.String(255), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("resource", sa.String(63), nullable=False),
        sa.Column("verb", sa.String(63), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("object_id", sa.String(64), nullable=False),
        sa.Column("object_name", sa.String(255), nullable=False),
        sa.Column("result", sa.String(32), nullable=False),
        sa.Column("reason", _LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.create_index("ix_audit_events_namespace_event_id", "audit_events", ["namespace", "event_id"])
    op.create_index("ix_audit_events_user_event_id", "audit_events", ["user", "event_id"])
    op.create_index("ix_audit_events_object_id_event_id", "audit_events", ["object_id", "event_id"])
    op.create_table(
        "role_bindings",
        sa.Column("role_binding_id", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("group", sa.String(255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("binding_key", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("role_binding_id", name="pk_role_bindings"),
        sa.UniqueConstraint("binding_key", name="uq_role_bindings_binding_key"),
    )
    op.create_index("ix_role_bindings_created_at_role_binding_id", "role_bindings", ["created_at", "role_binding_id"])


def downgrade() -> None:
    op.drop_table("role_bindings")
    op.drop_table("audit_events")
