"""Which attempts get their slots of pools together."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A server of the release before writes rows without it.
    op.add_column("slot_demands", sa.Column("gang", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("slot_demands", "gang")
