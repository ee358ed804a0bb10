"""The engine: plugins loaded, guarded and called, messages dispatched, and the services wired together."""
