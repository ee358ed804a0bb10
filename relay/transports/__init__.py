"""The floor of the transports: trio streams, and the two libraries that speak on them.

Rule 1: each library is named in one module only: trio-websocket in `odd_frames.py`, hypercorn in
`rest/serving.py`. The day one must go, one file changes.

Rule 2: every await on a peer has a deadline, and the deadline has a name in relay.toml.
"""
