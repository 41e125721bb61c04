"""Why attempts do not run yet."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A server of the release before writes rows without it.
    op.add_column(
        "tasks", sa.Column("waiting", sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("tasks", "waiting")
