"""The ground floor: what travels on the wire, as pure values.

Rule 1: every name, code and limit that a peer can see on the socket is defined here, once.

Rule 2: nothing here performs I/O, reads a clock, logs, or knows of trio, SQL or plugins. The same
bytes give the same answer on any day, which is what lets a property test hold this promise: *any
bytes whatever decode to an envelope or raise ProtocolError; any other exception is a bug.*
"""
