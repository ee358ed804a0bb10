"""Attacks on the real process from outside: heads, frames, envelopes and bodies, drawn from seeds, by the thousand.

`make attack` runs many; `tests/e2e/test_attack.py` some. Whatever is sent, the server lives, logs no traceback, answers
nothing with 500, and two people who talk all the while wait for no ack for long.
"""
