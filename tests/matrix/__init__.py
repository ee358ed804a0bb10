"""The authorisation matrix: every REST call of the route table, and every tool of MCP, for everybody who could try it."""
