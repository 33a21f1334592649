"""As much of Markdown as a bundle's card uses, as HTML: headings, tables, lists, code and paragraphs."""

from __future__ import annotations

import re
from html import escape


def as_html(text: str) -> str:
    """Turn Markdown into HTML; what is not understood stays text, and no HTML of the source gets through."""
    return "\n".join(_block(block.strip("\n")) for block in re.split(r"\n\s*\n", text.strip()) if block.strip())


def _block(block: str) -> str:
    lines = block.split("\n")
    if found := re.match(r"(#{1,4}) (.*)", lines[0]):
        level = len(found[1])
        rest = "\n".join(lines[1:])
        return f"<h{level}>{_inline(found[2])}</h{level}>" + (_block(rest) if rest.strip() else "")
    if len(lines) > 1 and lines[0].startswith("|") and set(lines[1]) <= set("|-: "):
        return _table(lines)
    if all(line.startswith(("- ", "* ")) for line in lines):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0]) if any(rows[0]) else ""
    body = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows[2:])
    return f'<div class="wide"><table>{f"<tr>{head}</tr>" if head else ""}{body}</table></div>'


def _inline(text: str) -> str:
    safe = escape(text)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", safe)
