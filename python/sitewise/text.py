"""Text from files, made safe for where it is shown: a name may hold escape codes, markup or script.

`printable` is the first step of all; the others add what each place needs.
"""

from __future__ import annotations

import html
import json
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

WORD, PATH, MESSAGE = 60, 400, 2000  # characters of a name, of a file's path and of a line of a message at most
ELLIPSIS = "..."

# Control, format (also of the direction of writing) and surrogate characters, separators of lines and paragraphs
ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
BREAKING = ESCAPED - {"Cf"}  # what may end a line of a file, or is no text


def printable(text: object, limit: int = WORD) -> str:
    r"""Return text in one line that shows as what it is: ESC becomes \x1b, a change of the direction of writing
    \u202e; of more than `limit` characters the middle is left out."""
    found = str(text)
    if len(found) > limit:  # what is cut is not looked at: it may be gigabytes
        head = (2 * limit) // 3
        return _cut([_shown(c) for c in found[:head]], [_shown(c) for c in found[head - limit :]], limit)
    shown = [_shown(c) for c in found]
    half = -(-len(shown) // 2)
    return "".join(shown) if sum(map(len, shown)) <= limit else _cut(shown[:half], shown[half:], limit)


def printable_lines(text: object, limit: int = MESSAGE) -> str:
    """Return text of several lines, each of them printable and of `limit` characters at most."""
    return "\n".join(printable(line, limit) for line in str(text).split("\n"))


def for_html(text: object, limit: int = WORD) -> str:
    """Return printable text as content or quoted attribute of an HTML element."""
    return html.escape(printable(text, limit))


def for_script(value: object) -> str:
    """Return a value as JSON that no browser takes for markup within a <script> element."""
    text = json.dumps(value)  # in ASCII: U+2028, which ends a line of a script, is escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def for_picture(text: object, limit: int = WORD) -> str:
    """Return printable text that matplotlib draws as it is: a dollar sign would begin a formula, and an underscore
    at the front keep a label out of the legend."""
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
    """Return the outer ends of head and tail, with as many characters in all as the limit."""
    room = max(limit - len(ELLIPSIS), 0)
    first = _whole(head, (2 * room) // 3)
    last = _whole(tail[::-1], room - (2 * room) // 3)[::-1]
    return "".join([*first, ELLIPSIS, *last])


def _whole(parts: list[str], room: int) -> list[str]:
    """Return as many of the parts from the front as have room together."""
    used = 0
    for count, part in enumerate(parts):
        used += len(part)
        if used > room:
            return parts[:count]
    return parts
