"""The simulation of a cluster: three nodes, the stream and the bus between them, devices and what happens to them."""
