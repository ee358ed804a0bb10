"""Tests of the cluster: its parts in memory, and nodes as processes beside real NATS servers."""
