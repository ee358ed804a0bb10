"""Descriptions of messages for tools: JSON Schema, AsyncAPI and TypeScript.

Rule 1: a description is made from the structs that read and write the messages.

Rule 2: a description needs a registry of plugins, and no running server.
"""
