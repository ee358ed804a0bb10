"""The authorisation matrix: every REST call of the route table, for everybody who could try it."""
