"""The rows of the matrix: for each call that takes a token, who it answers, and what the others are told.

A call for a role on the server, or for everybody, needs no row: its `access` decides. Any other call without a row fails a test.
The tools of `POST /mcp` have rows of their own.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

ANONYMOUS: Final = ("anonymous", "unknown", "revoked", "removed device", "expired")
"""Callers without a token that is good: none, one that nobody made, one that was revoked, one of a device that was removed, one that is over."""

ENDED: Final = ("disabled", "banned")
"""Accounts that may not sign in; both are in the group still."""

INSIDE: Final = ("owner", "admin", "member", "guest", "bot")
"""Those in the group of the scene, whose messages `member` has written."""

OUTSIDE: Final = (
    "ex", "stranger", "far guest", "far bot", "notifier", "scraper", "scoped", "moderator", "server admin", "server owner",
)  # fmt: skip
"""Those outside: who was removed, a stranger, his tokens with each scope and with names that are no scope, and roles on the server."""

KNOWN: Final = (*INSIDE, *OUTSIDE)
CALLERS: Final = (*ANONYMOUS, *ENDED, *KNOWN)

MANAGERS: Final = ("owner", "admin")
GUESTS: Final = ("guest", "far guest")
MEMBERS: Final = tuple(who for who in KNOWN if who not in GUESTS)


class Row(NamedTuple):
    """What is decided about a call.

    Attributes:
        who: those whom it answers.
        body: a body that is right; None for none. In texts, `{group_id}` and the like stand for things of the scene.
        query: the query, in the same way.
        path: what the variables of the path stand for, where it is not what the scene has under that name.
        status: what it is answered with where it is answered.
        hidden: those others who are told 404, as of a thing that is not there; everybody else is told 403.
        spends: whether what it is about is gone after it, for whoever calls next.
    """

    who: tuple[str, ...]
    body: Any = None
    query: dict[str, str] | None = None
    path: dict[str, str] | None = None
    status: int = 200
    hidden: tuple[str, ...] = ()
    spends: bool = False


def _own(body: Any = None, status: int = 200, **more: Any) -> Row:
    """Decide for a call about what is the caller's own: everybody's."""
    return Row(KNOWN, body, status=status, **more)


def _group(who: tuple[str, ...] = INSIDE, body: Any = None, status: int = 200, **more: Any) -> Row:
    """Decide for a call about what is in the group, which is not there for others."""
    return Row(who, body, status=status, hidden=OUTSIDE, **more)


def _theirs(body: Any = None, status: int = 204, **more: Any) -> Row:
    """Decide for a call about one thing of `member`, which is not there for anybody else."""
    others = tuple(who for who in KNOWN if who != "member")
    return Row(("member",), body, status=status, hidden=others, spends=True, **more)


def _person(status: int = 200) -> Row:
    """Decide for a call about somebody whom no guest has met, and who is not there for guests."""
    return Row(MEMBERS, path=_FAR, status=status, hidden=GUESTS)


_VICTIM: Final = {"user_id": "vic"}
_FAR: Final = {"user_id": "{far}"}
_PROVIDER: Final = {"name": "there"}

ROWS: Final[dict[str, Row]] = {
    # What is in a group.
    "GET /api/groups/{group_id}": _group(),
    "PATCH /api/groups/{group_id}": _group(MANAGERS, {"name": "Other"}),
    "DELETE /api/groups/{group_id}": _group(("owner",), status=204, spends=True),
    "POST /api/groups/{group_id}/join": _group(),
    "PUT /api/groups/{group_id}/members/{user_id}": _group(MANAGERS, path={"user_id": "new"}),
    "DELETE /api/groups/{group_id}/members/{user_id}": _group(MANAGERS, status=204, path=_VICTIM, spends=True),
    "GET /api/groups/{group_id}/restrictions": _group(MANAGERS),
    "PUT /api/groups/{group_id}/restrictions/{kind}/{user_id}": _group(MANAGERS, {"seconds": 60}, path=_VICTIM),
    "DELETE /api/groups/{group_id}/restrictions/{kind}/{user_id}": _group(MANAGERS, status=204, path={"user_id": "quiet"}, spends=True),
    "GET /api/messages/group/{group_id}": _group(),
    "GET /api/messages/{message_id}": _group(),
    "GET /api/messages/thread/{message_id}": _group(),
    "POST /api/messages/{message_id}/remove": _group(MANAGERS, {"reason": "spam"}, 204, spends=True),
    "POST /api/messages/{message_id}/report": _group(("owner", "admin", "guest", "bot"), {"reason": "spam"}, 201),
    "POST /api/messages": _group(body={"type": "group_message", "payload": {"content": "x"}, "meta": {"target_id": "{group_id}"}}, status=201),
    "POST /api/messages/read": _group(body={"target_id": "{group_id}", "up_to_seq": 1}),
    "GET /api/attachments": _group(query={"target_id": "{group_id}"}),
    "GET /api/attachments/{attachment_id}": _group(),
    "GET /api/pins/{target_id}": _group(),
    "GET /api/polls/{message_id}": _group(path={"message_id": "{poll}"}),
    "GET /api/polls/{message_id}/votes": _group(path={"message_id": "{poll}"}),
    "GET /api/tasks": _group(query={"target": "{group_id}"}),
    "PUT /api/push/muted/{target_id}": _group(body={}, status=204),
    "DELETE /api/push/muted/{target_id}": _group(status=204),
    "PUT /api/push/everything/{target_id}": _group(status=204),
    "DELETE /api/push/everything/{target_id}": _group(status=204),
    # One thing of one member's.
    "DELETE /api/attachments/{attachment_id}": _theirs(path={"attachment_id": "{unsent}"}),
    "DELETE /api/tokens/{token_id}": _theirs(),
    "DELETE /api/devices/{client_id}": _theirs(),
    "DELETE /api/devices": _theirs(query={"client_id": "{client_id}"}),
    "DELETE /api/reminders/{message_id}": _theirs(path={"message_id": "{reminder}"}),
    "DELETE /api/push/targets/{target_id}": _theirs(path={"target_id": "{push}"}),
    "POST /api/push/targets/{target_id}/confirm": _theirs({"code": "12345678"}, 200, path={"target_id": "{push}"}),
    "POST /api/push/targets/{target_id}/test": _theirs(status=200, path={"target_id": "{push}"}),
    # Other people.
    "GET /api/users/{user_id}": _person(),
    "GET /api/users/{user_id}/status": _person(),
    "PUT /api/users/following/{user_id}": _person(204),
    "DELETE /api/users/following/{user_id}": _person(204),
    "PUT /api/users/{user_id}/block": _person(204),
    "DELETE /api/users/{user_id}/block": _own(status=204, path=_FAR),
    "GET /api/messages/user/{user_id}": _person(),
    "GET /api/public-groups/{group_id}": Row(MEMBERS, path={"group_id": "{public}"}, hidden=GUESTS),
    # What is the caller's own.
    "GET /api/bots": _own(),
    "GET /api/commands": _own(query={"target_id": "{group_id}"}),
    "GET /api/conversations": _own(),
    "GET /api/devices": _own(),
    "GET /api/groups": _own(query={"shared_with": "mia"}),
    "POST /api/groups": Row(MEMBERS, {"name": "Another"}, status=201),
    "GET /api/marks": _own(),
    "GET /api/messages/undelivered": _own(),
    "POST /api/messages/acknowledge": _own({"cursor": 0}),
    "GET /api/notifications": _own(),
    "POST /api/attachments": _own("x", 201, query={"name": "x.txt"}),
    "POST /api/page/faults": _own({"plugin": "polls", "kind": "draw", "text": "x"}, 204),
    "GET /api/public-groups": _own(),
    "GET /api/push/key": _own(),
    "GET /api/push/settings": _own(),
    "PATCH /api/push/settings": _own({}),
    "GET /api/push/targets": _own(),
    "POST /api/push/targets": _own({"kind": "ntfy", "url": "https://127.0.0.1:9/{who}"}, 201),
    "GET /api/reminders": _own(),
    "GET /api/saved": _own(),
    "GET /api/search": _own(query={"q": "{secret}"}),
    "GET /api/streams/{target_id}": _own(),
    "GET /api/threads": _own(),
    "GET /api/tokens": _own(),
    "GET /api/users": _own(),
    "GET /api/users/following/status": _own(),
    "GET /api/users/me": _own(),
    "PATCH /api/users/me": _own({"display_name": "Somebody"}),
    "GET /api/users/me/blocked": _own(),
    "GET /api/users/me/export": _own(),
    "GET /api/users/me/mail": _own(),
    "PUT /api/users/me/mail": _own({"address": "a@b.example", "current_password": "x"}, 403),  # nobody here has a password
    "GET /api/users/me/restrictions": _own(),
    "GET /api/users/me/second-factor": _own(),
    "POST /api/users/me/second-factor": _own({"current_password": "x"}, 403),
    "PUT /api/users/me/second-factor": _own({"code": "123456"}, 409),
    "POST /api/users/me/second-factor/off": _own({"current_password": "x", "code": "123456"}, 403),
    "POST /api/users/me/second-factor/recovery-codes": _own({"current_password": "x", "code": "123456"}, 403),
    "POST /api/users/me/erase": _own({"password": "x"}, 400),
    "GET /api/oidc/{name}/link": _own(path=_PROVIDER),
    "POST /api/oidc/{name}/link": _own({"code": "x"}, 403, path=_PROVIDER),  # a code of nobody's
    "POST /api/oidc/{name}/link/start": _own(status=503, path=_PROVIDER),  # the provider does not answer
    "DELETE /api/oidc/{name}/link": _own(status=409, path=_PROVIDER),  # nobody here has another way in
    "POST /mcp": _own({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
    "POST /api/logout": _own(status=204),  # the last one: it ends the caller's token
}  # fmt: skip

TOOLS: Final[dict[str, Row]] = {
    # What is in a group.
    "read_messages": _group(body={"target_id": "{group_id}"}),
    "list_members": _group(body={"group_id": "{group_id}"}),
    "send_message": _group(body={"target_id": "{group_id}", "content": "x", "idempotency_key": "send-{who}"}),
    "edit_message": _group(("member",), {"message_id": "{message_id}", "content": "x", "idempotency_key": "edit-{who}"}),
    "delete_message": _group(("owner", "admin", "member"), {"message_id": "{message_id}"}, spends=True),
    "react": _group(body={"message_id": "{message_id}", "emoji": "x"}),
    "mark_read": _group(body={"target_id": "{group_id}", "up_to_seq": 1}),
    # Somebody whom no guest has met.
    "read_messages of two": Row(MEMBERS, {"target_id": "{far}"}, hidden=GUESTS),
    "send_message to one": Row(MEMBERS, {"target_id": "{far}", "content": "x", "idempotency_key": "far-{who}"}, hidden=GUESTS),
    # What is the caller's own.
    "who_am_i": _own({}),
    "list_conversations": _own({}),
    "read_new": _own({}),
    "search": _own({"q": "{secret}"}),
    "find_user": _own({"q": "a"}),
}  # fmt: skip
"""Those of the tools of `POST /mcp`, in the same way: `body` is their arguments, and a refusal is 200 with its code inside.

What is behind the name of a tool tells rows of the same tool apart.
"""
