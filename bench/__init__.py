"""Benchmarks: each one command, each against a floor in the same run. `python -m bench` runs all of them."""
