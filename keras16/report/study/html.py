"""A report as one HTML file, figures inside; for phones, in light and in dark."""

from __future__ import annotations

import base64
import html
import pathlib

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

# Wide tables scroll by themselves, with their first column kept in sight; figures have
# a white ground of their own.
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --faint: #666666;
  --line: #d5d5d5; --band: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #15181b;
  --faint: #a2a8ae; --line: #3a4046; --band: #1f2429; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
.verdict { background: var(--band); padding: .8rem 1rem; border-radius: .4rem; }
figure { margin: 1.2rem 0; }
figcaption, caption { color: var(--faint); font-size: .9rem; text-align: left; }
.drawing { overflow-x: auto; background: #ffffff; border-radius: .4rem;
  padding: .4rem; }
.drawing img { display: block; width: 100%; min-width: 34rem; height: auto; }
.scroll { overflow-x: auto; margin: 1rem 0; }
td:first-child { min-width: 6rem; }
table { border-collapse: separate; border-spacing: 0; font-size: .875rem; }
caption { padding-bottom: .4rem; position: sticky; left: 0; max-width: 92vw; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; overflow-wrap: normal; }
.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
tr > :first-child { position: sticky; left: 0; background: var(--paper); }
.prose tr > :first-child { position: static; min-width: 7rem; }
@media (max-width: 38rem) { .prose thead { display: none; }
  .prose tr { display: block; border-bottom: 1px solid var(--line); padding: .4rem 0; }
  .prose td { display: block; border: 0; padding: .1rem .6rem; }
  .prose td::before { content: attr(data-label) ": "; color: var(--faint); }
  .prose td:first-child::before { content: ""; }
  .prose td:first-child { font-weight: 600; } }
tr.last td { font-weight: 600; border-top: 2px solid var(--line); }
pre { background: var(--band); padding: .8rem; overflow-x: auto; }
""".strip()


def rendered(document: Document, folder: pathlib.Path) -> str:
    """The whole report as a page that needs no other file.

    Args:
        document: The report.
        folder: Where its figures are, SVG files.
    """
    title = html.escape(document.title)
    body = "\n".join(_block(block, folder) for block in document.blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _block(block: Block, folder: pathlib.Path) -> str:
    match block:
        case Heading():
            return f"<h2>{html.escape(block.text)}</h2>"
        case Paragraph():
            return _paragraph(block)
        case Bullets():
            tag = "ol" if block.numbered else "ul"
            items = "".join(f"<li>{html.escape(item)}</li>" for item in block.items)
            return f"<{tag}>{items}</{tag}>" if items else ""
        case Figure():
            return _figure(block, folder)
        case Code():
            return f"<pre>{html.escape(chr(10).join(block.lines))}</pre>"
        case Table():
            return table(block)


def _paragraph(block: Paragraph) -> str:
    if not block.label:
        return f"<p>{html.escape(block.text)}</p>"
    label, text = html.escape(block.label), html.escape(block.text)
    return f'<p class="verdict"><strong>{label}</strong> {text}</p>'


def _figure(block: Figure, folder: pathlib.Path) -> str:
    drawing = base64.b64encode((folder / block.file).read_bytes()).decode()
    caption = html.escape(block.caption)
    return (
        f'<figure><div class="drawing"><img alt="{caption}" '
        f'src="data:image/svg+xml;base64,{drawing}"></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def table(block: Table) -> str:
    """A table in a box that scrolls sideways where the screen is narrow."""
    head = _row(block, block.header, "th")
    body = "".join(
        _row(block, row, "td", block.last and row is block.rows[-1])
        for row in block.rows
    )
    prose = " prose" if block.words == len(block.header) else ""
    return (
        f'<div class="scroll{prose}"><table><caption>{html.escape(block.caption)}'
        f"</caption><thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def _row(block: Table, cells: tuple[str, ...], tag: str, last: bool = False) -> str:
    inner = "".join(
        f"<{tag}{_marks(block, place)}>{html.escape(cell)}</{tag}>"
        for place, cell in enumerate(cells)
    )
    return f"<tr{' class=last' if last else ''}>{inner}</tr>"


def _marks(block: Table, place: int) -> str:
    """What a cell is; those of a table of words have their column's name with them."""
    if place >= block.words:
        return " class=number"
    if block.words < len(block.header):
        return ""
    return f' data-label="{html.escape(block.header[place])}"'
