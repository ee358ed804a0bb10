"""`relay group`: the operator's commands for groups; each acts in the name of the group's owner."""

from __future__ import annotations

import json

import click

from relay.cli.base import Group, json_option, print_rows, printable, tell
from relay.cli.database import perform, perform_pages


@click.group(cls=Group)
def group() -> None:
    """Create, list and delete groups; change their members.

    Every change is made in the name of the group's owner, and its members are told as always.
    """


@group.command()
@click.argument("group_id")
@click.option("--name", metavar="TEXT", required=True, help="The name that people see.")
@click.option("--owner", metavar="USER", required=True, help="The group's owner.")
@click.option(
    "--member", "members", metavar="USER", multiple=True, help="A member from the start; may be repeated."
)
@click.option(
    "--history",
    type=click.Choice(["join", "start"]),
    default="join",
    show_default=True,
    help="From where on later members see messages: since they joined, or from the start.",
)
def create(group_id: str, name: str, owner: str, members: tuple[str, ...], history: str) -> None:
    """Create the group GROUP_ID; users and groups share one namespace."""
    perform("group.create", group_id=group_id, name=name, owner=owner, members=members, history=history)
    tell(f"group {group_id}: created", group_id=group_id, owner=owner)


@group.command("list")
@json_option
def list_groups(as_json: bool) -> None:
    """List all groups, by their ids."""
    columns = ("group_id", "name", "owner", "members", "history", "created_at")
    print_rows(list(perform_pages("group.list", "group_id")), columns, as_json=as_json)


@group.command()
@click.argument("group_id")
@json_option
def show(group_id: str, as_json: bool) -> None:
    """Show the group GROUP_ID and its members."""
    found = perform("group.show", group_id=group_id)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    slow = f", slow mode of {found['slow_mode_seconds']} s" if found["slow_mode_seconds"] else ""
    click.echo(f"{found['group_id']}: {printable(found['name'])} (history from {found['history']}{slow})\n")
    print_rows(found["members"], ("user_id", "role"), as_json=False)


@group.command()
@click.argument("group_id", metavar="GROUP")
@click.argument("user_id", metavar="USER")
@click.option(
    "--role",
    type=click.Choice(["member", "admin", "owner"]),
    help="Their role; a new owner makes the old one an admin.  [default: member, or the present role]",
)
def add(group_id: str, user_id: str, role: str | None) -> None:
    """Add USER to GROUP, or change the role of a member."""
    found = perform("group.add", group_id=group_id, user_id=user_id, role=role)
    roles = {member["user_id"]: member["role"] for member in found["members"]}
    tell(
        f"group {group_id}: {user_id} is {roles[user_id]}", group_id=group_id, user_id=user_id, role=roles[user_id]
    )


@group.command()
@click.argument("group_id", metavar="GROUP")
@click.argument("user_id", metavar="USER")
def remove(group_id: str, user_id: str) -> None:
    """Remove USER from GROUP; they still see older messages. Its owner hands it on first (`group add --role`)."""
    perform("group.remove", group_id=group_id, user_id=user_id)
    tell(f"group {group_id}: {user_id} removed", group_id=group_id, user_id=user_id)


@group.command("slow-mode")
@click.argument("group_id", metavar="GROUP")
@click.argument("seconds", metavar="SECONDS", type=click.IntRange(0, 21_600))
def slow_mode(group_id: str, seconds: int) -> None:
    """Let each plain member of GROUP write once in SECONDS; 0 ends that.

    The group's owner and admins write as often as they like.
    """
    perform("group.slow_mode", group_id=group_id, seconds=seconds)
    text = f"group {group_id}: slow mode of {seconds} s" if seconds else f"group {group_id}: no slow mode"
    tell(text, group_id=group_id, slow_mode_seconds=seconds)


@group.command()
@click.argument("group_id", metavar="GROUP")
def delete(group_id: str) -> None:
    """Delete GROUP: nobody can read or write in it any more, and its id stays taken."""
    perform("group.delete", group_id=group_id)
    tell(f"group {group_id}: deleted", group_id=group_id)
