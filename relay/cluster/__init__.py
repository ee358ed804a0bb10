"""A cluster: one node writes, every node has the database, and NATS JetStream carries the changes between them.

A commit of the leader goes into a stream before it is one, so that every node can make it as well; whoever wants
to lead writes that into the same stream, and from there on refuses what an older leader writes. Clients speak with
the leader whichever node they connect to: the others pass their bytes on.
"""
