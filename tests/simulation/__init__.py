"""The deterministic simulation: server, clients, network, disk and clock in one process, all decided by one seed."""
