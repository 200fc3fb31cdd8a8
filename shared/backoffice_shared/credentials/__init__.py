"""Secrets: one source a file, all behind `CredentialSource`."""
