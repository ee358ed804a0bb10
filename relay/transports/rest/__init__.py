"""The REST side: history, groups, accounts and files as JSON over HTTP.

A request passes `serving.py` (HTTP/1.1), `bodies.py` (deadlines), `app.py` (routes and headers), `access.py` (its
caller) and `relay.http.endpoint` (its query and body) before its view runs.

Rule 1: a view calls a service and returns the answer. Permissions are checked by the services, as for messages of
the socket.

Rule 2: every refusal is `application/problem+json` (RFC 9457), and what the caller may not see looks absent. Views
raise; `problems.py` turns exceptions into answers.
"""
