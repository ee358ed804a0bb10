"""A body that takes long to come in: whoever sends it must still be allowed to at its end."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.wire import request
from tests.e2e.world import message

pytestmark = pytest.mark.e2e

MESSAGE = json.dumps(message("ben", "after the end", id="late")).encode()
FORM = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nabc\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("path", "type_", "body"),
    [
        ("/api/messages", "application/json", MESSAGE),
        ("/api/attachments", "application/octet-stream", b"some bytes"),
        ("/api/attachments", "multipart/form-data; boundary=x", FORM),
    ],
)
@pytest.mark.parametrize("how", ["disable", "revoke", "nothing"])
def test_a_body_that_ends_after_its_senders_end_is_not_taken(
    make_world: MakeWorld, path: str, type_: str, body: bytes, how: str
) -> None:
    own = make_world(("ann", "ben"))
    wire = own.wire()
    headers = {
        "Authorization": f"Bearer {own.tokens['ann']}",
        "Content-Type": type_,
        "Content-Length": str(len(body)),
        "Expect": "100-continue",
    }
    wire.send_bytes(request(path, headers, method="POST", upgrade=False))
    assert wire.read_response().status == 100  # the call has begun to read: its sender is known
    wire.send_bytes(body[:5])
    if how == "disable":
        own.server.relay("user", "disable", "ann")
    elif how == "revoke":
        token = json.loads(own.server.relay("token", "list", "ann", "--json"))
        own.server.relay("token", "revoke", token["token_id"])
    wire.send_bytes(body[5:])
    expected = {"disable": 403, "revoke": 401, "nothing": 201}[how]
    assert wire.read_response().status == expected
    assert len(own.history("ben", peer="ann")) == (how == "nothing" and path == "/api/messages")
