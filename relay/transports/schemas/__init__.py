"""What travels, described for tools: JSON Schema, OpenAPI, AsyncAPI and TypeScript, of the structs that check it.

Rule 1: a description is made of what reads and writes; what is told here and nowhere else is told about, never of.

Rule 2: each is made of a registry of plugins, so that it can be had without a running server.
"""
