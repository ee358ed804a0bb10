"""Relay and other servers under the same load, in one run: `python -m benchmarks.peers`."""
