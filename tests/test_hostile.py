"""Files that mean harm or are broken: what they hold cannot get out of its place, and they end in one `Error`."""

import json

import pytest

from sitewise.text import for_html, for_picture, for_script, for_table, printable, printable_lines

ESCAPES = "\x1b[31m\x00\r\n\t\x7f\x9b\u200b\u202e\u2028\u2029\ufeff\ud800"


def test_printable_text_shows_what_would_act() -> None:
    assert printable(ESCAPES) == r"\x1b[31m\x00\r\n\t\x7f\x9b\u200b\u202e\u2028\u2029\ufeff\ud800"
    assert printable("Si bulk, 300 K (é, 硅, $x_1$)") == "Si bulk, 300 K (é, 硅, $x_1$)"
    assert printable(1.5) == "1.5"


@pytest.mark.parametrize("text", ["x" * 1000, "\x1b" * 70, "é" * 81, "\U000e0001" * 80, ESCAPES * 10**5])
@pytest.mark.parametrize("limit", [3, 10, 80, 2000])
def test_printable_text_is_short(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert (shown == text) == (text.isprintable() and len(text) <= limit)


def test_the_ends_of_long_text_are_kept() -> None:
    assert printable("begin" + "." * 1000 + "end", 20).startswith("begin")
    assert printable("begin" + "." * 1000 + "end", 20).endswith("...end")
    assert printable_lines("one\ntw\x1bo\n" + "x" * 100, 12) == "one\ntw\\x1bo\n" + "xxxxxx...xxx"


def test_each_place_has_its_own_escapes() -> None:
    evil = "</SCRIPT><script>&'\"\u2028"
    assert for_html(evil) == r"&lt;/SCRIPT&gt;&lt;script&gt;&amp;&#x27;&quot;\u2028"
    assert not set("<>&\u2028") & set(for_script({"a": evil}))
    assert json.loads(for_script({"a": evil})) == {"a": evil}
    assert for_picture(r"$\bad{$") == r"\$\bad{\$"
    assert for_picture("_x") == " _x"
    assert for_table("[/]\x1b").plain == r"[/]\x1b"
