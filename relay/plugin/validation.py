"""Validation of the parts that a plugin registers, when they are made: a mistake is reported at the start.

Code that is called and not awaited must not be `async def`: it would never run, and nobody would notice.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Collection
from enum import Enum
from types import FunctionType
from typing import Any, Final, TypeGuard, get_type_hints

from relay.protocol.errors import said
from relay.protocol.kinds import ConversationKind, Kind, Role

_INSIDE: Final = "what waits is `committed`, or a background task"
_PLAIN: Final = {
    "prepare": (("draft",), "what waits is `handle`"),
    "key": (("payload",), ""),
    "collapse": (("payload",), ""),
    "about": (("payload",), ""),
    "search_text": (("payload",), ""),
    "over": (("payload",), ""),
    "sql": (("connection",), ""),
    "acted": (("server", "connection", "answer"), _INSIDE),
    "stored": (("server", "connection", "entries"), _INSIDE),
    "edited": (("server", "connection", "message"), _INSIDE),
    "keeps": (("server", "connection", "message_ids"), _INSIDE),
    "for_recipient": (("server", "delivery", "user_id"), "what waits is `before`, which changes it for everybody"),
    "erased": (("server", "connection", "message_ids"), _INSIDE),
    "purge": (("server", "connection"), _INSIDE),
    "left": (("server", "connection", "user_id"), _INSIDE),
    "owned": (("server", "connection", "user_id"), _INSIDE),
    "trace": (("server", "connection", "message", "user_ids"), ""),
    "queues": (("server", "connection"), ""),
    "live": (("server", "event"), "what waits is `connected`, or a background task"),
}
"""Functions that are called and not awaited: their arguments, and the place for code that has to wait."""

_SCHEDULE_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")

_EITHER: Final = {
    "handle": ("draft",),
    "before": ("draft",),
    "committed": ("server", "entry"),
    "connected": ("server", "event"),
    "disconnected": ("server", "event"),
    "presence": ("server", "user_id", "status"),
    "identify": ("server", "credentials"),
    "sign_in": ("server", "name", "password", "address"),
    "register": ("server", "new"),
    "registered": ("server", "user"),
    "name": ("server", "new"),
    "begin": ("server", "new"),
    "join": ("server", "change"),
    "leave": ("server", "change"),
    "change_role": ("server", "change"),
    "upload": ("server", "upload"),
    "scan": ("server", "upload"),
    "run": ("server",),
    "frees": ("server", "days"),
}
"""Functions that may be `async def`: their arguments."""


def functions(owner: str, part: Any, *names: str) -> None:
    """Check that functions of a part can be called as they will be.

    Args:
        owner: the beginning of the error's text.
        names: the attributes that hold the functions; None is allowed as a value.

    Raises:
        TypeError: naming the attribute and what is right.
    """
    for name in names:
        function = getattr(part, name)
        if function is None:
            continue
        arguments, instead = _PLAIN.get(name) or (_EITHER[name], "")
        if not callable(function):
            raise TypeError(f"{owner}: {name} is {function!r:.80}; it is a function of {', '.join(arguments)}")
        if name in _PLAIN and _waits(function, generator=name not in ("keeps", "trace", "queues")):
            hint = f"; {instead}" if instead else ""
            raise TypeError(f"{owner}: {name} is called and not awaited: write it with def, not async def{hint}")
        _check_arguments(owner, name, function, arguments)


def called(owner: str, name: str, function: object, arguments: tuple[str, ...]) -> None:
    """Check that a function, plain or async, can be called with these arguments.

    Raises:
        TypeError: naming what is right.
    """
    if not callable(function):
        raise TypeError(f"{owner}: {name} is {function!r:.80}; it is a function of {', '.join(arguments)}")
    _check_arguments(owner, name, function, arguments)


def line(owner: str, name: str, value: object, longest: int) -> None:
    """Check that a value is one line of text with a bounded length.

    Raises:
        TypeError, ValueError: naming what is right.
    """
    if not isinstance(value, str):
        raise TypeError(f"{owner}: {name} is {value!r:.80}; it is a text")
    if not value.strip() or len(value) > longest or "\n" in value:
        raise ValueError(f"{owner}: {name} is one line of 1 to {longest} characters")


def _waits(function: Callable[..., Any], *, generator: bool) -> bool:
    if _is_bare(function):
        waiting = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | (inspect.CO_GENERATOR if generator else 0)
        return bool(function.__code__.co_flags & waiting)
    asked = (function, getattr(function, "__call__", None))  # noqa: B004 - an object's own may be async def
    return any(
        inspect.iscoroutinefunction(one)
        or inspect.isasyncgenfunction(one)
        or (generator and inspect.isgeneratorfunction(one))
        for one in asked
    )


def _check_arguments(owner: str, name: str, function: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    if _is_bare(function) and _takes(function, len(arguments)):
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # built-in functions may have no signature
    try:
        signature.bind(*arguments)
    except TypeError:
        right = f"{name}({', '.join(arguments)})"
        raise TypeError(f"{owner}: it is called as {right}, but this takes {signature}") from None


def _is_bare(function: object) -> TypeGuard[FunctionType]:
    """Tell whether a function says all of itself in its code: nothing wraps it, and nothing is marked at it.

    Nearly all are, and `inspect` takes a quarter of the time in which plugins load.
    """
    return type(function) is FunctionType and not vars(function)


def _takes(function: FunctionType, count: int) -> bool:
    """Tell whether a bare function takes so many arguments."""
    code = function.__code__
    most = code.co_argcount
    named = code.co_varnames[most : most + code.co_kwonlyargcount]
    return (
        most - len(function.__defaults__ or ()) <= count
        and (count <= most or bool(code.co_flags & inspect.CO_VARARGS))
        and (function.__kwdefaults__ or {}).keys() >= set(named)
    )


def one_of(owner: str, name: str, value: object, kind: type[Enum]) -> None:
    """Check that a value is a member of an enumeration, and not the text that equals it.

    Raises:
        TypeError: naming the right form.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{owner}: {name} is {value!r:.80}; write {_right(value, kind)}")


def _right(value: object, kind: type[Enum]) -> str:
    same = next((member for member in kind if member.value == value), None)
    members = [same] if same is not None else list(kind)
    return " or ".join(f"{kind.__name__}.{member.name}" for member in members)


def set_of(owner: str, name: str, value: Any, kind: type[Any]) -> frozenset[Any]:
    """Return a collection as a frozenset; a string does not count as a collection of strings.

    Raises:
        TypeError: naming the right form.
    """
    if isinstance(value, str) or not isinstance(value, Collection):
        inside = f'"{value}"' if kind is str and isinstance(value, str) else kind.__name__
        raise TypeError(f"{owner}: {name} is {value!r:.80}; write frozenset({{{inside}}})")
    for one in value:
        if issubclass(kind, Enum):
            one_of(owner, f"one of {name}", one, kind)
        elif not isinstance(one, kind):
            raise TypeError(f"{owner}: {name} has {one!r:.80} in it; each is a {kind.__name__}")
    return frozenset(value)


def number(owner: str, name: str, value: object, *, whole: bool = False, least: float = -math.inf) -> None:
    """Check that a value is a number, and large enough; None is allowed.

    Raises:
        TypeError: naming what is right.
    """
    if value is None:
        return
    kinds: tuple[type, ...] = (int,) if whole else (int, float)
    if type(value) not in kinds or not math.isfinite(value) or value < least:  # type: ignore[arg-type, operator]
        bound = "" if least == -math.inf else f", {least:g} at least"
        raise TypeError(f"{owner}: {name} is {value!r:.80}; it is a {'whole ' if whole else ''}number{bound}")


def flag(owner: str, name: str, value: object) -> None:
    """Check that a value is True or False.

    Raises:
        TypeError: naming what is right.
    """
    if type(value) is not bool:
        raise TypeError(f"{owner}: {name} is {value!r:.80}; it is True or False")


def message_type(type_: Any) -> None:
    """Check a message type.

    Raises:
        TypeError: naming what is wrong with it and what is right.
    """
    owner = f"message type {type_.name!r}"
    one_of(owner, "kind", type_.kind, Kind)
    object.__setattr__(type_, "targets", set_of(owner, "targets", type_.targets, ConversationKind))
    if type_.roles is not None:
        object.__setattr__(type_, "roles", set_of(owner, "roles", type_.roles, Role))
    if type_.scope is not None and not isinstance(type_.scope, str):
        raise TypeError(f"{owner}: scope is {type_.scope!r:.80}; it is a text, or None")
    number(owner, "priority", type_.priority, whole=True)
    number(owner, "max_bytes", type_.max_bytes, whole=True, least=1)
    number(owner, "ttl_seconds", type_.ttl_seconds, least=0)
    number(owner, "lasts_seconds", type_.lasts_seconds, least=0)
    if not type_.from_clients:
        for name in ("roles", "scope", "prepare", "handle"):
            if getattr(type_, name) is not None:
                raise TypeError(f"{owner}: {name} is for what clients send, and from_clients is False")
    functions(owner, type_, "prepare", "handle", "key", "collapse", "about", "search_text", "over", "acted")


def command(part: Any) -> None:
    """Check a command.

    Raises:
        TypeError: naming what is wrong with it and what is right.
    """
    owner = f"Command {part.name!r:.80}"
    if not isinstance(part.name, str) or not 1 <= len(part.name.split(" ")) <= 3 or not part.name.strip():
        raise TypeError(f"{owner}: name is one word to three")
    if not callable(part.run):
        raise TypeError(f"{owner}: run is {part.run!r:.80}; it is a function of server, and of what it is told")
    try:
        inspect.signature(part.run)
        get_type_hints(part.run, include_extras=True)
    except Exception as fault:
        raise TypeError(f"{owner}: what run takes cannot be read: {said(fault)}") from fault


def migration(step: Any) -> None:
    """Check a migration.

    Raises:
        TypeError: naming what is wrong with it and what is right.
    """
    owner = f"Migration {step.name!r:.80}"
    if not isinstance(step.name, str):
        raise TypeError(f"{owner}: name is a text")
    if not isinstance(step.sql, str):
        functions(owner, step, "sql")


def message_hook(hook: Any) -> None:
    """Check a message hook.

    Raises:
        TypeError: naming what is wrong with it and what is right.
    """
    owner = "MessageHook"
    if hook.types is not None:
        object.__setattr__(hook, "types", set_of(owner, "types", hook.types, str))
    number(owner, "order", hook.order)
    functions(owner, hook, "before", "stored", "edited", "keeps", "erased", "purge", "committed", "for_recipient")
    flag(owner, "required", hook.required)
    if hook.required and hook.before is None and hook.for_recipient is None:
        raise TypeError(f"{owner}: required is for a hook with `before` or `for_recipient`, and this has neither")


def schedule(part: Any) -> None:
    """Check a schedule.

    Raises:
        TypeError, ValueError: naming what is wrong with it and what is right.
    """
    owner = f"Schedule {part.name!r:.80}"
    if not isinstance(part.name, str) or not _SCHEDULE_NAME.fullmatch(part.name):
        raise ValueError(f"{owner}: name is 1 to 64 of a-z, 0-9, _ and -, a letter first")
    called(owner, "run", part.run, ("server", "job"))
    number(owner, "seconds", part.seconds, least=0.1)
    if part.seconds is None or part.seconds > 3600:
        raise ValueError(f"{owner}: seconds is {part.seconds!r}; a run may take 3600 s at most")
