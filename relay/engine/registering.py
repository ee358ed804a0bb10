"""The asking of a plugin's module for what it registers; a slip is told with its file, line and the right form."""

from __future__ import annotations

import inspect
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

import msgspec
import pluggy

from relay.engine.guard import in_words
from relay.engine.options import BadOptions, read_options
from relay.engine.registry import PARTS, BadPart
from relay.plugin import hookspecs
from relay.settings.problems import nearest

_SPECS: Final = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("relay_")}
_TAKES: Final = {name: tuple(inspect.signature(hook).parameters) for name, hook in _SPECS.items()}
_MARK: Final = f"{hookspecs.PROJECT}_impl"


class _Manager(pluggy.PluginManager):
    """A manager for modules that hold plain functions alone: pluggy would look long at each of their names."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """Return the options of the hook of that name; None for what is no hook."""
        return getattr(vars(plugin).get(name), _MARK, None)


_spare: Final[deque[_Manager]] = deque()
"""Managers without a plugin: to read the hooks' specifications takes longer than to ask a plugin."""


class BadHook(TypeError):
    """A hook that does not exist, or that is another than it should be.

    Args:
        line: of the plugin's module.
    """

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


class Registered(NamedTuple):
    """The parts of one plugin, and its options.

    Attributes:
        parts: by hook.
        struct: the struct that its table of the configuration is read into, if it has one.
        options: its table, read into the struct.
    """

    parts: dict[str, list[Any]]
    struct: type[msgspec.Struct] | None
    options: Any


def ask(name: str, module: ModuleType, options: Mapping[str, Any], places: Mapping[str, str]) -> Registered:
    """Call a plugin's hooks.

    Args:
        options: the plugin's table in the configuration.
        places: where in the configuration each option is.

    Raises:
        BadOptions: its table does not fit.
        BadHook: a hook does not exist, or is or returned something else than it should.
    """
    for named, value in vars(module).items():
        if isinstance(value, FunctionType) and named.startswith("relay_"):
            _check_hook(named, value)
    with _registered(name, module) as hooks:
        return _answers(name, module, hooks, options, places)


@contextmanager
def _registered(name: str, module: ModuleType) -> Iterator[Any]:
    """Register a plugin alone with a manager, and give the manager's hooks."""
    try:
        manager = _spare.pop()
    except IndexError:
        manager = _Manager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
    alone = ModuleType(name)  # with the hooks alone: pluggy looks at each name of a module
    vars(alone).update((named, value) for named, value in vars(module).items() if _is_marked(value))
    manager.register(alone, name)
    manager.check_pending()
    yield manager.hook
    # Only after what went well: a plugin that failed or hangs may have left something behind in it.
    manager.unregister(name=name)
    _spare.append(manager)


def _is_marked(value: Any) -> bool:
    return type(value) is FunctionType and hasattr(value, _MARK)


def _answers(
    name: str, module: ModuleType, hooks: Any, options: Mapping[str, Any], places: Mapping[str, str]
) -> Registered:
    read: Any = options
    struct = next(iter(hooks.relay_options()), None)
    if struct is not None:
        if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
            line = _line(module, "relay_options")
            raise BadHook(f"relay_options returned {struct!r}; return a msgspec.Struct class", line)
        read = read_options(name, struct, options, places)
    parts: dict[str, list[Any]] = {}
    for hook, kind in PARTS.items():
        arguments = {"options": read} if "options" in _TAKES[hook] else {}
        caller = getattr(hooks, hook)
        answers = caller(**arguments) if caller.get_hookimpls() else []
        parts[hook] = [part for answer in answers for part in _checked(module, hook, kind, answer)]
    return Registered(parts, struct, read)


def _check_hook(name: str, function: FunctionType) -> None:
    """Refuse a function that looks like a hook and would not be called as one."""
    line = function.__code__.co_firstlineno
    if not hasattr(function, _MARK):
        if name in _SPECS:
            raise BadHook(f"{name} would never be asked: write @hookimpl above it", line)
        if meant := _meant(name):
            raise BadHook(f"{name} is no hook, and would never be asked; did you mean {meant}?", line)
        return
    if name not in _SPECS:
        meant = _meant(name)
        hint = f"did you mean {meant}?" if meant else "see docs/plugins/hooks.md"
        raise BadHook(f"there is no hook {name}; {hint}", line)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise BadHook(f"{name} is called and not awaited: write it with def, not async def", line)
    right = _TAKES[name]
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    takes_more = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS) or hasattr(function, "__wrapped__")
    if not takes_more and set(names) <= set(right):
        return  # as nearly all do: to ask for the signature takes long
    wrong = [one for one in inspect.signature(function).parameters if one not in right]
    if wrong:
        takes = f"takes {', '.join(right)} or nothing" if right else "takes nothing"
        raise BadHook(f"{name} has the parameter {wrong[0]!r}; it {takes}", line)


def _meant(name: str) -> str | None:
    """Return the hook that a name was probably to be; the beginning that all share says nothing."""
    found = nearest(name.removeprefix("relay_"), [hook.removeprefix("relay_") for hook in _SPECS])
    return f"relay_{found}" if found else None


def _checked(module: ModuleType, hook: str, kind: type[Any], answer: Any) -> list[Any]:
    """Return what a hook returned, as a list of parts of one kind."""
    line = _line(module, hook)
    if hook == "relay_page":
        if not isinstance(answer, kind):
            raise BadHook(f"{hook} returned {answer!r:.80}; return a {kind.__name__}", line)
        return [answer]
    if not isinstance(answer, list | tuple):
        raise BadHook(f"{hook} returned {answer!r}; return a list of {kind.__name__}", line)
    for part in answer:
        if not isinstance(part, kind):
            raise BadHook(f"{hook} returned {part!r} in its list; return a list of {kind.__name__}", line)
    return list(answer)


def _line(module: ModuleType, hook: str) -> int | None:
    """Return the line of a hook in its module; None where the module took it from elsewhere."""
    code = getattr(getattr(module, hook, None), "__code__", None)
    return code.co_firstlineno if code is not None and code.co_filename == module.__file__ else None


def reason_of(fault: BaseException, path: Path | None, module: ModuleType | None) -> str:
    """Return why a plugin is left out, with the line of its own code where it failed.

    Args:
        path: its file, where it is known.
        module: its module, once that is imported.
    """
    if isinstance(fault, BadOptions):
        return str(fault)
    file = path or (Path(module.__file__) if module is not None and module.__file__ else None)
    line = fault.line if isinstance(fault, BadHook) else None
    if isinstance(fault, BadPart) and module is not None:
        line = _line(module, fault.hook)
    if line is None and file is not None:
        file, line = _place(fault, file)
    if isinstance(fault, BadHook | BadPart):
        text = str(fault)
    else:
        text = f"SyntaxError: {fault.msg}" if type(fault) is SyntaxError else in_words(fault)
    return f"{_called(file)}:{line}: {text}" if file is not None and line else text


def _place(fault: BaseException, file: Path) -> tuple[Path, int | None]:
    """Return the last line of a plugin's own code that a fault came through; a package is all of its files."""
    folder = file.parent if file.name == "__init__.py" else None

    def is_own(name: str | None) -> bool:
        return name is not None and (name == str(file) or (folder is not None and folder in Path(name).parents))

    if isinstance(fault, SyntaxError) and fault.filename is not None and is_own(fault.filename):
        return Path(fault.filename), fault.lineno
    found: tuple[Path, int | None] = (file, None)
    for frame in traceback.extract_tb(fault.__traceback__):
        if is_own(frame.filename):
            found = Path(frame.filename), frame.lineno
    return found


def _called(file: Path) -> str:
    """Return a file's name, with its folder's where many have the same one."""
    is_in_package = file.name == "__init__.py" or (file.parent / "__init__.py").exists()
    return f"{file.parent.name}/{file.name}" if is_in_package else file.name
