"""`python -m tests.mutants`: tries each mutant of the list, and fails if one survives without a reason."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.listing import TREE, Mutant, problems, read
from tests.mutants.running import Broken, Copy, Fate, Verdict

_LONGEST_SECONDS = 3600
_WRONG = (Fate.SURVIVED, Fate.REVIVED)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "--only", metavar="TEXT", action="append", help="those with this text in room/name or in their file's path"
    )
    parser.add_argument("--room", help="those of one file in tests/mutants/rooms")
    parser.add_argument(
        "--changed",
        metavar="COMMIT",
        nargs="?",
        const="main",
        help="those whose file, or a test of theirs, differs",
    )
    parser.add_argument("--narrow", action="store_true", help="leave out the wider tests, which take long")
    parser.add_argument("--unchecked", action="store_true", help="trust that the tests pass without a mutant")
    parser.add_argument("--seconds", type=float, default=120, help="the longest run of tests (%(default).0f)")
    parser.add_argument("--lanes", type=int, default=2, help="mutants tried at once (%(default)d)")
    parser.add_argument("--list", action="store_true", help="print them, and try none")
    return parser.parse_args(words)


def chosen(mutants: list[Mutant], options: argparse.Namespace) -> list[Mutant]:
    """Return the mutants that were asked for."""
    if options.room is not None:
        mutants = [mutant for mutant in mutants if mutant.room == options.room]
    if options.only is not None:
        mutants = [m for m in mutants if any(text in m.id or text in m.file for text in options.only)]
    if options.changed is not None:
        files = _changed_since(options.changed)
        mutants = [m for m in mutants if files & {m.file, *(test.partition("::")[0] for test in m.tests)}]
    return mutants


def _changed_since(commit: str) -> set[str]:
    words = ["git", "diff", "--name-only", "--merge-base", commit]
    return set(subprocess.run(words, cwd=TREE, capture_output=True, text=True, check=True).stdout.splitlines())


def check_tests(copy: Copy, mutants: Sequence[Mutant]) -> None:
    """Check that the tests pass without a mutant: otherwise they would kill everything.

    Raises:
        Broken: one fails.
    """
    try:
        killer = copy.run(sorted({test for mutant in mutants for test in mutant.tests}), _LONGEST_SECONDS)
    except TimeoutError:
        raise Broken(f"the tests take more than {_LONGEST_SECONDS} s") from None
    if killer is not None:
        raise Broken(f"{killer} fails without any mutant")


def try_all(mutants: Sequence[Mutant], copies: Sequence[Copy]) -> Iterator[Verdict]:
    """Try mutants, one in each copy at a time, and yield what becomes of each."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def one(mutant: Mutant) -> Verdict:
        copy = free.get()
        try:
            return copy.try_one(mutant)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        try:
            for done in as_completed([pool.submit(one, mutant) for mutant in mutants]):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def main(words: Sequence[str]) -> int:
    """Run the command, and return its exit code."""
    options = arguments(words)
    listed = read()
    if found := problems(listed):
        print(*found, sep="\n", file=sys.stderr)
        return 2
    mutants = chosen(listed, options)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.id}\n    {mutant.hurts}" + (f"\n    lives: {mutant.lives}" if mutant.lives else ""))
        return 0
    if not mutants:
        print("no mutant is meant by these options; --list prints all", file=sys.stderr)
        return 2
    began, fates = time.monotonic(), Counter[Fate]()
    with tempfile.TemporaryDirectory(prefix="relay-mutants-") as folder:
        copies = [
            Copy(Path(folder, str(number)), options.seconds, narrow=options.narrow)
            for number in range(options.lanes)
        ]
        try:
            if not options.unchecked:
                check_tests(copies[0], mutants)
                print(f"the tests pass without a mutant, after {time.monotonic() - began:.0f} s", flush=True)
            for verdict in try_all(mutants, copies):
                fates[verdict.fate] += 1
                print(
                    f"{verdict.fate:<12} {verdict.seconds:6.1f} s  {verdict.mutant.id}  {verdict.by}", flush=True
                )
        except Broken as broken:
            print(broken, file=sys.stderr)
            return 2
        finally:
            for copy in copies:
                copy.stop()
    told = ", ".join(f"{fates[fate]} {fate}" for fate in Fate if fates[fate])
    print(f"{len(mutants)} mutants in {time.monotonic() - began:.0f} s: {told}")
    return 1 if any(fates[fate] for fate in _WRONG) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copies are deleted as well
    sys.exit(main(sys.argv[1:]))
