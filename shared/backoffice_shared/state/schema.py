"""The tables in SQLite: what each version of the schema added to the one before it.

A version that was released is never edited. PostgreSQL has the same tables, from `migrations/`.
"""

from __future__ import annotations

VERSIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE idempotency (
            scope TEXT NOT NULL,
            key TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('running', 'done', 'uncertain', 'free')),
            claimed_at REAL NOT NULL,
            lease_until REAL NOT NULL,
            uncertain_since REAL,
            result TEXT,
            expires_at REAL NOT NULL,
            PRIMARY KEY (scope, key)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX idempotency_expires_at ON idempotency (expires_at)",
        """
        CREATE TABLE quota (
            key TEXT NOT NULL PRIMARY KEY,
            used INTEGER NOT NULL,
            ends_at REAL NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE audit (
            writer TEXT NOT NULL,
            seq INTEGER NOT NULL,
            ts TEXT NOT NULL,
            agent TEXT,
            subject TEXT,
            tool TEXT,
            outcome TEXT,
            decision TEXT,
            trace_id TEXT,
            record TEXT NOT NULL,
            mac TEXT NOT NULL,
            PRIMARY KEY (writer, seq)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX audit_ts ON audit (ts, writer, seq)",
        "CREATE INDEX audit_trace_id ON audit (trace_id) WHERE trace_id IS NOT NULL",
        """
        CREATE TABLE audit_checkpoints (
            writer TEXT NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            mac TEXT NOT NULL,
            ts TEXT NOT NULL,
            signature TEXT NOT NULL,
            PRIMARY KEY (writer, seq, kind)
        ) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE approvals (
            approval_id TEXT NOT NULL PRIMARY KEY,
            action TEXT NOT NULL,
            payload TEXT NOT NULL,
            digest TEXT NOT NULL,
            requester TEXT NOT NULL,
            requested_by TEXT NOT NULL,
            role TEXT NOT NULL,
            rule TEXT NOT NULL,
            needed INTEGER NOT NULL CHECK (needed >= 1),
            state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used', 'expired')),
            created_at REAL NOT NULL,
            expires_at REAL NOT NULL,
            reason TEXT NOT NULL,
            used_by TEXT
        )
        """,
        """
        CREATE UNIQUE INDEX approvals_live ON approvals (requester, digest, role, needed)
            WHERE state IN ('pending', 'approved')
        """,
        "CREATE INDEX approvals_pending ON approvals (created_at, approval_id) WHERE state = 'pending'",
        "CREATE INDEX approvals_expires_at ON approvals (expires_at)",
        """
        CREATE TABLE approval_votes (
            approval_id TEXT NOT NULL,
            approver TEXT NOT NULL,
            named TEXT NOT NULL,
            agrees INTEGER NOT NULL CHECK (agrees IN (0, 1)),
            voted_at REAL NOT NULL,
            PRIMARY KEY (approval_id, approver)
        ) WITHOUT ROWID
        """,
    ),
)
