"""HTTP beside the socket: everything that history, groups and accounts are asked for, as JSON.

Rule 1: a handler reads, calls a service and shapes the answer; what may be done is decided below, where
the socket's messages pass as well.

Rule 2: every refusal is `application/problem+json` (RFC 9457), and what is absent looks like what may not be
seen. Handlers raise; only `problems.py` turns what was raised into an answer.
"""
