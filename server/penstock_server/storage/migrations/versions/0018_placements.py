"""What attempts run in, and what marks their lines in the log of a Pod that many share."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A server of the release before writes rows without them.
    op.add_column("attempts", sa.Column("placement", sa.String(800), nullable=False, server_default=""))
    op.add_column("attempts", sa.Column("log_mark", sa.String(63), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("attempts", "log_mark")
    op.drop_column("attempts", "placement")
