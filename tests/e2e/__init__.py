"""End-to-end tests: the real server process, real sockets, clients written here and nowhere else."""
