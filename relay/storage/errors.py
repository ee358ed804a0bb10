"""What goes wrong with the database itself, as against with a request to it."""


class StorageError(Exception):
    """The database cannot be used; the message says which file and why."""


class StorageInUse(StorageError):
    """Another relay is using the database."""


class StorageFailed(StorageError):
    """A commit did not reach the disk (full, or failing); nothing of it was stored."""


class StorageBroken(StorageError):
    """The database file is damaged, or is not the one that was opened; nothing more can be stored in it."""
