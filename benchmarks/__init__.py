"""relay's benchmarks: a real server process, its disk and its sockets, measured from outside."""
