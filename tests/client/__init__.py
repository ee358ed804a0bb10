"""Tests of the Python client, against a scripted server in memory and virtual time."""
