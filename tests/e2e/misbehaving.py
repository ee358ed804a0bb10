"""A plugin that misbehaves in the hook it is told, in the way it is told; each of its types has one hook."""

import time
from typing import Any

import trio

from relay.http import Blueprint, request, server
from relay.plugin import (
    AccountHook,
    Authenticator,
    BackgroundTask,
    Claim,
    ConversationHook,
    Kind,
    MessageHook,
    MessageType,
    PasswordAuthenticator,
    Payload,
    Routes,
    Schedule,
    SessionHook,
    UploadHook,
    hookimpl,
)

chosen = {"hook": "", "way": ""}
OWN = "odd_"


class Odd(Payload):
    """What each of its types says."""

    text: str = ""


class Bare(BaseException):
    """What no `except Exception` takes."""


def spoil(hook: str) -> bool:
    """Misbehave, if it is this hook's turn; True where it is to return junk."""
    if chosen["hook"] != hook:
        return False
    way = chosen["way"]
    if way == "raises":
        raise ZeroDivisionError("on purpose")
    if way == "exits":
        raise SystemExit(3)
    if way == "raises a bare one":
        raise Bare("on purpose")
    if way == "blocks":
        time.sleep(0.6)
    while way == "loops":
        pass
    return way == "returns junk"


async def spoil_async(hook: str) -> bool:
    """Do the same, or wait for ever."""
    if chosen["hook"] == hook and chosen["way"] == "waits":
        await trio.sleep_forever()
    while chosen["hook"] == hook and chosen["way"] == "waits behind a shield":
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()
    return spoil(hook)


async def later() -> None:
    """Do nothing; junk, where nobody awaits it."""


def prepare(draft: Any) -> None:
    if spoil("prepare"):
        draft.payload = None
    if spoil("prepare, a field"):
        draft.payload.text = 5
    if spoil("answer"):
        draft.answer = {"it": object()}
    if spoil("expires_at"):
        draft.expires_at = "soon"
    draft.apply = lambda connection, entry: 5 if spoil("apply") else None
    draft.after = lambda connection, entry: later() if spoil("after") else None


async def handle(draft: Any) -> None:
    if await spoil_async("handle"):
        draft.payload = Odd
    if spoil("answer of handle"):
        draft.answer = "junk"


def before(draft: Any) -> Any:
    return later() if spoil("before") else None


async def before_async(draft: Any) -> None:
    if await spoil_async("before, async"):
        draft.payload = {"text": 5}


async def before_required(draft: Any) -> None:
    if await spoil_async("before, required"):
        draft.payload = None
    if await spoil_async("whisper in before"):
        await whisper(draft.server, draft, "whisper in before")


async def whispering(server: Any, entry: Any) -> None:
    if await spoil_async("whisper in committed"):
        await whisper(server, entry, 5)


async def whisper(server: Any, about: Any, text: Any) -> None:
    """Whisper what no type allows, to somebody who is not there."""
    conversation = await server.conversations.find("mallory", "mark")
    await server.whisper(
        ["nobody"] if text == 5 else ["mark"], OWN + "whisper", {"text": 5}, conversation, sender_id="mallory"
    )


@hookimpl
def relay_message_types() -> list[MessageType]:
    """Add the types."""

    def made(name: str, kind: Kind = Kind.STREAM, **more: Any) -> MessageType:
        return MessageType(name=OWN + name, payload=Odd, kind=kind, **more)

    return [
        made("prepare", prepare=prepare),
        made("handle", handle=handle),
        made("before"),
        made("slow"),
        made("key", Kind.LATEST, key=lambda payload: None if spoil("key") else payload.text),
        made(
            "collapse",
            collapse=lambda payload: {5} if spoil("collapse") else payload.text,
            about=lambda payload: "5" if spoil("about") else None,
        ),
        made("over", Kind.TRANSIENT, lasts_seconds=60, over=lambda payload: 5 if spoil("over") else None),
        made("required"),
        made("whisper", Kind.LATEST),
        made("look"),
        made("look_hard"),
        made("search", search_text=lambda payload: 5 if spoil("search_text") else payload.text),
    ]


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Add the hooks, for messages of all types where they do not change any."""

    def inside(hook: str) -> Any:
        return lambda server, connection, what: later() if spoil(hook) else None

    async def committed(server: Any, entry: Any) -> None:
        await spoil_async("committed")

    def look(hook: str) -> Any:
        def for_recipient(server: Any, delivery: Any, user_id: str) -> Any:
            if user_id != "mark":
                return None
            return 5 if spoil(hook) else Odd(text=f"for {user_id}")

        return for_recipient

    return [
        MessageHook(types=frozenset({OWN + "required"}), before=before_required, required=True),
        MessageHook(types=frozenset({OWN + "required"}), committed=whispering),
        MessageHook(types=frozenset({OWN + "look"}), for_recipient=look("for_recipient")),
        MessageHook(
            types=frozenset({OWN + "look_hard"}), for_recipient=look("for_recipient, required"), required=True
        ),
        MessageHook(types=frozenset({OWN + "before"}), before=before),
        MessageHook(types=frozenset({OWN + "slow"}), before=before_async),
        MessageHook(stored=inside("stored"), edited=inside("edited"), erased=inside("erased")),
        MessageHook(keeps=lambda server, connection, ids: None if spoil("keeps") else ()),
        MessageHook(committed=committed),
    ]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Add what is told of devices and people."""

    async def connected(server: Any, coming: Any) -> None:
        await spoil_async("connected")

    def disconnected(server: Any, coming: Any) -> None:
        spoil("disconnected")

    def presence(server: Any, user_id: str, status: str) -> None:
        spoil("presence")

    return [SessionHook(connected=connected, disconnected=disconnected, presence=presence)]


@hookimpl
def relay_authenticators() -> list[Authenticator]:
    """Add somebody who knows nobody."""

    async def identify(server: Any, credentials: Any) -> Any:
        if await spoil_async("identify"):
            return 5
        if spoil("claim"):
            return Claim("odd", expires_at="soon", scopes=5)  # type: ignore[arg-type]
        return None

    return [Authenticator(identify=identify)]


def asked(hook: str) -> Any:
    """Return what is asked before something happens, and allows it."""

    async def ask(*_arguments: Any) -> Any:
        return 5 if await spoil_async(hook) else None

    return ask


@hookimpl
def relay_password_authenticators() -> list[PasswordAuthenticator]:
    """Add somebody who knows no password."""
    return [PasswordAuthenticator(sign_in=asked("sign_in"))]


@hookimpl
def relay_account_hooks() -> list[AccountHook]:
    """Add what is asked about accounts."""
    return [AccountHook(register=asked("register"), name=asked("a user's name"))]


@hookimpl
def relay_conversation_hooks() -> list[ConversationHook]:
    """Add what is asked about conversations and groups."""
    names = ("begin", "join", "leave", "change_role")
    return [ConversationHook(**{name: asked(name) for name in names}, name=asked("a group's name"))]


@hookimpl
def relay_upload_hooks() -> list[UploadHook]:
    """Add what is asked about files."""
    return [UploadHook(upload=asked("upload"), scan=asked("scan"))]


@hookimpl
def relay_background() -> list[BackgroundTask]:
    """Add a task that misbehaves when it is woken."""

    async def run(server: Any) -> None:
        while True:
            await server.woken()
            await spoil_async("background")

    return [BackgroundTask(name="odd", run=run)]


@hookimpl
def relay_schedules() -> list[Schedule]:
    """Add the job that the view adds, which is due at once; a run is not to misbehave twice."""

    async def run(server: Any, job: Any) -> None:
        if job.attempt == 1:
            await spoil_async("job")

    return [Schedule(name="odd", run=run, seconds=0.4)]


@hookimpl
def relay_routes() -> list[Routes]:
    """Add a view that misbehaves, one that says what is next, and one that says how the plugin stands."""
    made = Blueprint("odd", __name__)

    @made.get("/api/odd")
    async def bad() -> Any:
        """Misbehave."""
        return object() if await spoil_async("view") else "well"

    @made.before_request
    async def first() -> None:
        if request.path == "/api/odd":
            spoil("before_request")

    @made.post("/odd/next")
    async def next_one() -> Any:
        """Choose what misbehaves from now on."""
        chosen.update(await request.get_json())
        server().wake()
        if chosen["hook"] == "job":  # it waits for the writer's thread, which another hook may hold
            await server().jobs.add("odd", at=0, key="odd")
        return {}

    @made.get("/odd/standing")
    async def standing() -> Any:
        """Say how often it failed, and how at last."""
        guard = server().guard
        return {"failures": guard.failures, "last": guard.last, "aside": guard.quarantined}

    return [Routes(blueprint=made, public=frozenset({"next_one", "standing"}))]
