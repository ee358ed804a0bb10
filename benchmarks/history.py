"""Messages of a year, as a file that `relay import` takes."""

import random
import time
from pathlib import Path

import msgspec

from benchmarks.populated import WORDS

PAIR_COUNT = 200
YEAR = 365 * 86_400


def write_history(folder: Path, users: list[str], count: int) -> Path:
    """Write messages between pairs of users, of the first half with the second, and return the file."""
    chosen, begun = random.Random(5), time.time() - YEAR
    pairs = min(PAIR_COUNT, len(users) // 2)
    file = folder / "history.ndjson"
    with file.open("wb") as lines:
        for number in range(count):
            sides = users[number % pairs], users[number % pairs + pairs]
            sender, target = sides if chosen.random() < 0.5 else sides[::-1]
            content = " ".join(chosen.choices(WORDS, k=chosen.randint(2, 40)))
            when = begun + YEAR * number / count
            meta = {"id": f"old-{number}", "sender_id": sender, "target_id": target, "timestamp": when}
            envelope = {"type": "chat_message", "payload": {"content": content}, "meta": meta}
            lines.write(msgspec.json.encode(envelope) + b"\n")
    return file
