"""The steps of a cluster's simulation: those of one server, and what happens to nodes and between them."""

from __future__ import annotations

from typing import Final

USUAL: Final = 64

WEIGHTS: Final = {
    # what people do
    "say": 26, "edit": 8, "delete": 6, "react": 6, "read": 7, "type": 1, "status": 2, "attach": 2, "say_again": 5,
    "provoke": 2, "ack": 4,
    # what devices and their networks do
    "come": 12, "cut": 5, "silence": 3, "double": 3, "kill": 4, "leave": 2, "background": 1, "slow": 1, "move": 5,
    # what groups and operators do
    "member": 8, "rename": 1, "regroup": 2, "notify": 4, "import": 1, "sweep": 1,
    # what happens to nodes
    "die": 9, "freeze": 5, "restart": 3, "hand_over": 4, "fail": 5, "drag": 2, "skew": 2, "clock": 1, "tables": 2,
    # what happens between them
    "part": 6, "unlink": 3, "outage": 2, "unanswered": 7, "bus": 3, "purge": 2,
}  # fmt: skip
"""How often each step comes, among all of these together."""
