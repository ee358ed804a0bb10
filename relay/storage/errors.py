"""Errors of the database itself, as opposed to errors of a request.

StorageError
 ├─ StorageInUse     another relay has the file open
 ├─ StorageFailed    a commit failed; nothing of it was stored
 │   ├─ NotReplicated      a cluster's stream did not take it
 │   └─ TransactionEnded   a statement inside the transaction ended it
 ├─ StorageBroken    the file is damaged or was replaced
 │   └─ Deposed         another node of the cluster writes from now on
 └─ BackupFailed     a copy was not made, or is no good
"""


class StorageError(Exception):
    """The database cannot be used; the message says which file and why."""


class StorageInUse(StorageError):
    """Another relay is using the database."""


class StorageFailed(StorageError):
    """A commit did not reach the disk (full or failing); nothing of it was stored."""


class StorageBroken(StorageError):
    """The database file is damaged, or is not the one that was opened; nothing more can be stored in it."""


class NotReplicated(StorageFailed):
    """A commit did not reach the stream of the cluster; this node has nothing of it."""


class TransactionEnded(StorageFailed):
    """A statement inside a transaction ended it, which only a plugin's can have; nothing of it was stored."""


class Deposed(StorageBroken):
    """Another node of the cluster writes from now on, or this one must read what it is said to have written."""


class BackupFailed(StorageError):
    """A backup was not made, or cannot be used; what was there before is as it was."""
