"""A report as Markdown, as GitHub reads it."""

from __future__ import annotations

from keras16.report.study.document import (
    Block,
    Bullets,
    Code,
    Document,
    Figure,
    Heading,
    Paragraph,
    Table,
)


def rendered(document: Document) -> str:
    """The whole report; its figures are files beside it."""
    parts = [f"# {escaped(document.title)}"]
    parts += [text for block in document.blocks if (text := _block(block))]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"## {escaped(block.text)}"
        case Paragraph():
            label = f"**{escaped(block.label)}** " if block.label else ""
            return label + escaped(block.text)
        case Bullets():
            return _list(block)
        case Figure():
            return f"![{escaped(block.caption)}]({block.file})"
        case Code():
            return "\n".join(f"    {line}" for line in block.lines)
        case Table():
            return table(block)


def _list(block: Bullets) -> str:
    marks = [f"{n}." if block.numbered else "-" for n in range(1, 1 + len(block.items))]
    items = zip(marks, block.items, strict=True)
    return "\n".join(f"{mark} {escaped(item)}" for mark, item in items)


def table(block: Table) -> str:
    """Caption and pipes; numbers are set to the right."""
    rule = ["---"] * block.words + ["---:"] * (len(block.header) - block.words)
    lines = [block.header, rule, *block.rows]
    rows = [f"| {' | '.join(escaped(cell) for cell in line)} |" for line in lines]
    return f"{escaped(block.caption)}\n\n" + "\n".join(rows)


def escaped(text: str) -> str:
    """Text on one line, without anything that Markdown or HTML would read."""
    plain = " ".join(text.split())
    for mark in "|*<":
        plain = plain.replace(mark, f"\\{mark}")
    return plain
