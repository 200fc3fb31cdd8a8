"""The audit: one record a call, in a chain that shows when somebody changed it."""
