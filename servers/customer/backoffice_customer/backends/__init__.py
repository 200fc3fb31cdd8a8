"""One folder a vendor: `adapter.py` puts its API in our words, `sandbox.py` speaks its wire."""
