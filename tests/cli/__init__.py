"""The command line, on a database that no server runs on and on one that a server has."""
