"""The mechanism every Backoffice server stands on. It knows no vendor and no domain."""

__version__ = "0.1.0"
