"""What a report is made of, before it is Markdown, HTML or LaTeX: plain text."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Heading:
    """Of a section."""

    text: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """Running text; `label` is set in bold before it."""

    text: str
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A list of sentences, with numbers or dots; of none nothing is written."""

    items: tuple[str, ...]
    numbered: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells of text; the first `words` columns are words, the others numbers.

    Attributes:
        caption: What it shows.
        header: Of the columns.
        rows: Each as long as the header.
        words: Columns that are set to the left.
        last: Whether the last row sums up the others.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    last: bool = False


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawing in a file beside the report."""

    file: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Code:
    """Commands, one a line."""

    lines: tuple[str, ...]


Block = Heading | Paragraph | Bullets | Table | Figure | Code


@dataclasses.dataclass(frozen=True)
class Document:
    """A title and what stands under it."""

    title: str
    blocks: tuple[Block, ...]
