"""The C++ interface, from the declarations and comments of the public headers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cxxheaderparser.simple import parse_string

HEADERS = Path(__file__).parents[2] / "cpp" / "include" / "sitewise"


def markdown() -> str:
    return "\n".join(line for path in sorted(HEADERS.glob("*.hpp")) for line in section(path))


def section(path: Path) -> Iterator[str]:
    text = re.sub(r"^#.*$", "", comments_first(path.read_text(encoding="utf-8")), flags=re.MULTILINE)
    space = parse_string(text).namespace.namespaces["sitewise"]
    yield from ["", f"## sitewise/{path.name}", "", "```{eval-rst}", ".. cpp:namespace:: sitewise", ""]
    yield from members(space)
    yield "```"


def comments_first(text: str) -> str:
    """Brings comments behind a declaration (///<) before it, where the parser finds those of functions, too."""
    behind = re.compile(r"^( *)(\S.*?) +///< (.*(?:\n *///< .*)*)$", re.MULTILINE)

    def moved(match: re.Match[str]) -> str:
        indent, declaration, comment = match.groups()
        lines = re.split(r"\n *///< ", comment)
        return "\n".join([*(f"{indent}/// {line}" for line in lines), indent + declaration])

    return behind.sub(moved, text)


def members(scope: Any) -> Iterator[str]:
    """Directives for all that is public in a namespace or class."""
    for enum in scope.enums:
        yield from directive("enum-class", enum.typename.segments[-1].name, enum.doxygen)
        for value in enum.values:
            yield from indented(directive("enumerator", value.name, value.doxygen))
    for each in scope.classes:
        declared = each.class_decl
        if declared.access in (None, "public") and (each.fields or each.methods):
            key = declared.typename.classkey
            bases = ", ".join(f"{base.access} {base.typename.format()}" for base in declared.bases)
            name = declared.typename.segments[-1].name + (f" : {bases}" if bases else "")
            yield from directive(key, name, declared.doxygen)
            yield from indented(members(each))
    for field in getattr(scope, "fields", []):
        if field.access == "public":
            value = f" = {field.value.format()}" if field.value else ""
            yield from directive("member", field.type.format_decl(field.name) + value, field.doxygen)
    for function in getattr(scope, "methods", scope.functions if hasattr(scope, "functions") else []):
        if getattr(function, "access", "public") == "public":
            yield from directive("function", signature(function), function.doxygen)


def signature(function: Any) -> str:
    parameters = ", ".join(parameter.format() for parameter in function.parameters)
    returns = f"{function.return_type.format()} " if function.return_type else ""
    name = ("~" if getattr(function, "destructor", False) else "") + function.name.format().lstrip("~")
    head = ("static " if function.static else "") + ("explicit " if getattr(function, "explicit", False) else "")
    tail = (" const" if getattr(function, "const", False) else "") + (" noexcept" if function.noexcept else "")
    return f"{head}{returns}{name}({parameters}){tail}"


def directive(kind: str, declaration: str, comment: str | None) -> Iterator[str]:
    yield f".. cpp:{kind}:: {declaration}"
    yield ""
    yield from indented(body(comment or ""))


def body(comment: str) -> Iterator[str]:
    """A comment as reStructuredText: indented lines are formulas, `names` are code."""
    lines = [re.sub(r"^ *///? ?", "", line) for line in comment.splitlines()]
    formula = False
    for line in lines:
        if line.startswith("    ") and not formula:
            yield from ["::", ""]
        formula = line.startswith("    ") or (formula and not line)
        yield line if formula else escaped(line)
    yield ""


def escaped(line: str) -> str:
    parts = line.split("`")
    parts[::2] = [re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"   {line}" if line else "" for line in lines)
