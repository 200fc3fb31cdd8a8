"""Idempotency records, what was spent, the audit, and its checkpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Compared byte by byte, as SQLite does: times as text have to sort as times.
_EXACT = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("scope", _EXACT, primary_key=True),
        sa.Column("key", _EXACT, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("claimed_at", sa.Double, nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("uncertain_since", sa.Double),
        sa.Column("result", sa.Text),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.CheckConstraint("state IN ('running', 'done', 'uncertain', 'free')", name="idempotency_state"),
    )
    op.create_index("idempotency_expires_at", "idempotency", ["expires_at"])
    op.create_table(
        "quota",
        sa.Column("key", _EXACT, primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("writer", _EXACT, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("ts", _EXACT, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("agent", "subject", "tool", "outcome", "decision", "trace_id")),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("mac", sa.Text, nullable=False),
    )
    op.create_index("audit_ts", "audit", ["ts", "writer", "seq"])
    op.create_index("audit_trace_id", "audit", ["trace_id"], postgresql_where=sa.text("trace_id IS NOT NULL"))
    op.create_table(
        "audit_checkpoints",
        sa.Column("writer", _EXACT, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", _EXACT, primary_key=True),
        sa.Column("mac", sa.Text, nullable=False),
        sa.Column("ts", _EXACT, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("audit_checkpoints")
    op.drop_table("audit")
    op.drop_table("quota")
    op.drop_table("idempotency")
