"""relay: a self-hosted real-time messaging server in one process, one port and one SQLite file."""

__version__ = "0.1.0"
