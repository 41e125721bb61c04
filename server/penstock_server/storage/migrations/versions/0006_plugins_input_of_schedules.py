"""What a recurring run hands to plugins: its runs inherit it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    # Nullable: servers of the release before add rows without it.
    op.add_column("recurring_runs", sa.Column("plugins_input", text, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("recurring_runs") as batch:
        batch.drop_column("plugins_input")
