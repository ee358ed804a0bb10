"""`shopping_item`: a list that a group keeps together; what was bought leaves it and stays in the history."""

from typing import Annotated, Any

from msgspec import Meta

from relay.http import Blueprint, Caller, endpoint
from relay.plugin import Command, ConversationKind, Draft, Kind, MessageType, Migration, Payload, Routes, hookimpl

SCHEMA = "CREATE TABLE shopping_item_open (group_id TEXT, item TEXT, PRIMARY KEY (group_id, item))"
ADD = "INSERT OR IGNORE INTO shopping_item_open VALUES (?, ?)"
REMOVE = "DELETE FROM shopping_item_open WHERE group_id = ? AND item = ?"
lists = Blueprint("shopping", __name__)


class ShoppingItem(Payload):
    item: Annotated[str, Meta(min_length=1, max_length=100)]
    bought: bool = False


def prepare(draft: Draft) -> None:
    sql = REMOVE if draft.payload.bought else ADD
    draft.after = lambda connection, entry: connection.execute(sql, (entry.target_id, draft.payload.item))


async def list_items(relay: Any, group_id: str) -> list[dict[str, str]]:
    """Show what a group has still to buy."""
    sql = "SELECT item FROM shopping_item_open WHERE group_id = ? ORDER BY item"
    return [{"item": row[0]} for row in await relay.read(lambda found: found.execute(sql, (group_id,)).fetchall())]


@lists.get("/api/shopping/<group_id>")
@endpoint(answers={200: list[dict[str, str]]})
async def show(server: Any, caller: Caller, group_id: str) -> list[dict[str, str]]:
    """Answer with what a group of the caller's has still to buy."""
    await server.groups.require_role(group_id, caller.user_id)  # refuses who is not in it
    return await list_items(server, group_id)


@hookimpl
def relay_migrations() -> list[Migration]:
    return [Migration(name="open", sql=SCHEMA)]


@hookimpl
def relay_message_types() -> list[MessageType]:
    groups = frozenset({ConversationKind.GROUP})
    more = {"targets": groups, "prepare": prepare, "search_text": lambda said: said.item}
    return [MessageType(name="shopping_item", payload=ShoppingItem, kind=Kind.STREAM, **more)]


@hookimpl
def relay_routes() -> list[Routes]:
    return [Routes(blueprint=lists)]


@hookimpl
def relay_commands() -> list[Command]:
    return [Command(name="shopping list", run=list_items)]
