"""Faults on the real process, with edits, deletions, reactions, receipts, groups and attachments in the traffic.

`make faults` runs all; a short version of each is in `tests/e2e/test_faults.py`. A ledger of what was acknowledged is
compared with what the server says afterwards, so that nothing is lost, doubled, out of order or half done.
"""
