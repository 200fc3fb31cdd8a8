"""The other servers under one roof, and the `backoffice` command."""
