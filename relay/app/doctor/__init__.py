"""`relay doctor`: whether this machine, the settings and the way that leads to the server are as they must be.

From the bottom up: `findings` (what is found), `recipes` (the lines that mend it), `wire` (one request, byte by
byte), `idling` (an idle WebSocket), `way_in` (the public address), `machine` (this one), `examination` (all).
"""
