"""The texts of Slack's blocks and attachments, which programs write instead of a text; in mrkdwn, as texts are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_DEEPEST: Final = 12
_MARKS: Final = {"bold": "*", "italic": "_", "strike": "~", "code": "`"}


def written(blocks: Any) -> str:
    """Return what blocks say, a paragraph each."""
    return "\n".join(part for one in _objects(blocks) if (part := _block(one).strip()))


def attached(attachments: Any) -> tuple[str, int]:
    """Return what attachments say, and how many were left out: the previews that Slack made of links."""
    parts: list[str] = []
    left_out = 0
    for one in _objects(attachments):
        if one.get("is_share") or one.get("is_msg_unfurl"):
            parts.append(_shared(one))
        elif one.get("from_url") or one.get("original_url"):
            left_out += 1
        else:
            parts.append(_attachment(one))
    return "\n".join(part for part in parts if part), left_out


def _block(block: dict[str, Any]) -> str:
    kind = block.get("type")
    if kind == "header":
        return f"*{_text(block.get('text'))}*"
    if kind == "section":
        fields = [_text(field) for field in _objects(block.get("fields"))]
        return "\n".join(part for part in (_text(block.get("text")), *fields) if part)
    if kind == "context":
        return " ".join(_text(one) for one in _objects(block.get("elements")))
    if kind in {"image", "video"}:
        return _image(block)
    if kind == "rich_text":
        return "".join(_rich(one, 0) for one in _objects(block.get("elements")))
    return ""


def _text(value: Any) -> str:
    """Return the text of a text object, or of an image beside texts."""
    if not isinstance(value, dict):
        return value if isinstance(value, str) else ""
    if value.get("type") == "image":
        return _image(value)
    return _string(value, "text")


def _image(block: dict[str, Any]) -> str:
    address = _string(block, "image_url") or _string(block, "title_url")
    label = _text(block.get("title")) or _string(block, "alt_text")
    return f"<{address}|{label}>" if address and label else f"<{address}>" if address else label


def _rich(element: dict[str, Any], depth: int) -> str:
    """Return a part of a rich text, with the parts in it."""
    if depth > _DEEPEST:
        return ""
    kind = element.get("type")
    inside = [_rich(one, depth + 1) for one in _objects(element.get("elements"))]
    if kind == "rich_text_list":
        return "".join(f"• {one}\n" for one in inside)
    if kind == "rich_text_preformatted":
        return f"```{''.join(inside)}```\n"
    if kind == "rich_text_quote":
        return "".join(f"&gt;{line}\n" for line in "".join(inside).split("\n"))
    if kind == "rich_text_section":
        return "".join(inside) + ("\n" if depth == 0 else "")
    return _leaf(kind, element)


def _leaf(kind: Any, element: dict[str, Any]) -> str:
    """Return the end of a rich text's tree: words, a link, somebody."""
    if kind == "text":
        style = element.get("style")
        return _styled(_escaped(_string(element, "text")), style if isinstance(style, dict) else {})
    if kind == "link":
        address, label = _string(element, "url"), _escaped(_string(element, "text"))
        return f"<{address}|{label}>" if label else f"<{address}>"
    if kind == "emoji":
        return f":{_string(element, 'name')}:"
    if kind == "user":
        return f"<@{_string(element, 'user_id')}>"
    if kind == "channel":
        return f"<#{_string(element, 'channel_id')}>"
    if kind == "broadcast":
        return f"<!{_string(element, 'range')}>"
    return ""


def _styled(text: str, style: dict[str, Any]) -> str:
    """Return words between their marks; blanks stay outside, as marks do not stand beside them."""
    inside = text.strip()
    if not inside:
        return text
    before, _, behind = text.partition(inside)
    for name, mark in _MARKS.items():
        if style.get(name) is True:
            inside = f"{mark}{inside}{mark}"
    return before + inside + behind


def _attachment(one: dict[str, Any]) -> str:
    title, address = _string(one, "title"), _string(one, "title_link")
    fields = [f"*{_string(field, 'title')}*\n{_string(field, 'value')}" for field in _objects(one.get("fields"))]
    parts = [
        _string(one, "pretext"),
        _string(one, "author_name"),
        f"<{address}|{title}>" if title and address else f"*{title}*" if title else "",
        _string(one, "text") or written(one.get("blocks")),
        *fields,
        f"<{image}>" if (image := _string(one, "image_url")) else "",
        _string(one, "footer"),
    ]
    return "\n".join(part for part in parts if part.strip()) or _string(one, "fallback")


def _shared(one: dict[str, Any]) -> str:
    """Return a message that was shared, as a quote."""
    author = _string(one, "author_name") or _string(one, "author_subname")
    said = _string(one, "text") or written(one.get("blocks")) or _string(one, "fallback")
    lines = [f"*{author}*"] if author else []
    return "\n".join(f"&gt; {line}" for line in (*lines, *said.split("\n")))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list; nothing for what is no list."""
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def _string(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
