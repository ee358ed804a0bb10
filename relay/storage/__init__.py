"""The first floor: everything that is kept, in one SQLite file.

Rule 1: SQL is written here and in plugins' own tables, nowhere else. What is above asks for a batch to
be appended, for what comes after a position, for pointers and for accounts.

Rule 2: nothing here decides policy or knows of sockets. Functions that take a `Connection` run inside a
transaction that somebody else opened: on the one writer, or on a reader that can change nothing.
"""
