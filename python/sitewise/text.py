"""Text from files, made safe to show: a name may hold escape codes, markup or script.

`printable` is always the first step; the other functions add what each place needs.
"""

from __future__ import annotations

import html
import json
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

WORD, PATH, MESSAGE = 60, 400, 2000  # most characters of a name, of a file's path and of a line of a message
ELLIPSIS = "..."

# Control, format (among them changes of the writing direction) and surrogate characters, line and paragraph separators
ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
BREAKING = ESCAPED - {"Cf"}  # characters that may end a line of a file, or are not text


def printable(text: object, limit: int = WORD) -> str:
    r"""Return text in one line in which every character is visible.

    ESC becomes \x1b, a change of the writing direction \u202e. The middle of a text of more than `limit` characters is
    left out.
    """
    found = str(text)
    if len(found) > limit:  # the part to be cut is not read: it may be gigabytes
        head = (2 * limit) // 3
        return _cut([_shown(c) for c in found[:head]], [_shown(c) for c in found[head - limit :]], limit)
    shown = [_shown(c) for c in found]
    half = -(-len(shown) // 2)
    return "".join(shown) if sum(map(len, shown)) <= limit else _cut(shown[:half], shown[half:], limit)


def printable_lines(text: object, limit: int = MESSAGE) -> str:
    """Return text of several lines, each of them printable and of at most `limit` characters."""
    return "\n".join(printable(line, limit) for line in str(text).split("\n"))


def for_html(text: object, limit: int = WORD) -> str:
    """Return printable text as content or quoted attribute of an HTML element."""
    return html.escape(printable(text, limit))


def for_script(value: object) -> str:
    """Return a value as JSON that no browser takes for markup within a <script> element."""
    text = json.dumps(value)  # in ASCII, so U+2028, which ends a line of a script, is escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def for_picture(text: object, limit: int = WORD) -> str:
    """Return printable text that matplotlib draws as it is.

    A dollar sign would begin a formula, and an underscore at the front would keep a label out of the legend.
    """
    shown = printable(text, limit).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def for_line(text: object) -> str:
    """Return text as part of a line of a file: whole, but with line ends and control characters escaped."""
    return "".join(_shown(character, BREAKING) for character in str(text))


def for_table(text: object, limit: int = WORD) -> Text:
    """Return printable text for a table of rich, which would take [brackets] for markup."""
    from rich.text import Text

    return Text(printable(text, limit))


def _shown(character: str, escaped: frozenset[str] = ESCAPED) -> str:
    if unicodedata.category(character) not in escaped:
        return character
    return character.encode("unicode_escape").decode()


def _cut(head: list[str], tail: list[str], limit: int) -> str:
    """Return both ends of a text of which head and tail are given, with `limit` characters in all."""
    room = max(limit - len(ELLIPSIS), 0)
    first = _whole(head, (2 * room) // 3)
    last = _whole(tail[::-1], room - (2 * room) // 3)[::-1]
    return "".join([*first, ELLIPSIS, *last])


def _whole(parts: list[str], room: int) -> list[str]:
    """Return as many of the first parts as fit into `room` characters."""
    used = 0
    for count, part in enumerate(parts):
        used += len(part)
        if used > room:
            return parts[:count]
    return parts
