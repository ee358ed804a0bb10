"""Tests of the plugin actions."""
