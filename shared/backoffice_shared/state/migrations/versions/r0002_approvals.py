"""Approvals, and who agreed to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_EXACT = sa.Text(collation="C")
_LIVE = sa.text("state IN ('pending', 'approved')")


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("approval_id", _EXACT, primary_key=True),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("digest", _EXACT, nullable=False),
        sa.Column("requester", _EXACT, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("role", _EXACT, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("needed", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("used_by", sa.Text),
        sa.CheckConstraint("needed >= 1", name="approvals_needed"),
        sa.CheckConstraint("state IN ('pending', 'approved', 'denied', 'used', 'expired')", name="approvals_state"),
    )
    op.create_index(
        "approvals_live", "approvals", ["requester", "digest", "role", "needed"], unique=True, postgresql_where=_LIVE
    )
    op.create_index(
        "approvals_pending", "approvals", ["created_at", "approval_id"], postgresql_where=sa.text("state = 'pending'")
    )
    op.create_index("approvals_expires_at", "approvals", ["expires_at"])
    op.create_table(
        "approval_votes",
        sa.Column("approval_id", _EXACT, primary_key=True),
        sa.Column("approver", _EXACT, primary_key=True),
        sa.Column("named", sa.Text, nullable=False),
        sa.Column("agrees", sa.BigInteger, nullable=False),
        sa.Column("voted_at", sa.Double, nullable=False),
        sa.CheckConstraint("agrees IN (0, 1)", name="approval_votes_agrees"),
    )


def downgrade() -> None:
    op.drop_table("approval_votes")
    op.drop_table("approvals")
