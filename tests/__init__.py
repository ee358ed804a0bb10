"""Tests, one module for each module of relay, and the end-to-end ones beside them."""
