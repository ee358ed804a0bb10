"""Tests of the bundled plugin `mcp`."""
