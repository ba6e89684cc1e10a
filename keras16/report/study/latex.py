"""A report as LaTeX: a document that compiles alone, tables in booktabs.

Its tables are floats of a few lines each, to be copied into a paper.
"""

from __future__ import annotations

import math
import shlex

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

PREAMBLE = r"""
% pdflatex NAME.tex; the tables need array, booktabs and graphicx. LaTeX reads no SVG:
% of the figures those are shown that lie beside as PDF, made by rsvg-convert, say:
% for f in NAME-*.svg; do rsvg-convert -f pdf -o ${f%.svg}.pdf $f; done
\documentclass[a4paper,10pt]{article}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage[margin=2cm]{geometry}
\usepackage{array,booktabs,float,graphicx,url}
\floatplacement{table}{H}
\floatplacement{figure}{H}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.5em}
\emergencystretch=3em
""".strip()
# Letters of a line of code: 17 cm hold as many at 10 pt.
CODE_WIDTH = 84
MARKS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
}


def rendered(document: Document) -> str:
    """The whole report; its figures are those that lie beside it as PDF."""
    body = "\n\n".join(text for block in document.blocks if (text := _block(block)))
    title = escaped(document.title)
    return (
        f"{PREAMBLE}\n\\title{{{title}}}\n\\author{{}}\n\\date{{}}\n\\begin{{document}}\n"
        f"\\maketitle\n\n{body}\n\n\\end{{document}}\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"\\section*{{{escaped(block.text)}}}"
        case Paragraph():
            label = f"\\textbf{{{escaped(block.label)}}} " if block.label else ""
            return label + escaped(block.text)
        case Bullets():
            kind = "enumerate" if block.numbered else "itemize"
            items = "\n".join(f"\\item {escaped(item)}" for item in block.items)
            return f"\\begin{{{kind}}}\n{items}\n\\end{{{kind}}}" if items else ""
        case Figure():
            return _figure(block)
        case Code():
            lines = "\n".join(_command(line) for line in block.lines)
            return f"\\begin{{verbatim}}\n{lines}\n\\end{{verbatim}}"
        case Table():
            return table(block)


def _command(line: str) -> str:
    """A command of a shell on as many lines as the page asks for."""
    lines = [""]
    for word in map(shlex.quote, shlex.split(line)):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > CODE_WIDTH:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n".join(lines)


def _figure(block: Figure) -> str:
    """A float, or nothing where nobody made a PDF of the SVG file."""
    file = block.file.removesuffix(".svg") + ".pdf"
    return (
        f"\\IfFileExists{{{file}}}{{\\begin{{figure}}\n\\centering\n"
        f"\\includegraphics[width=\\linewidth]{{{file}}}\n"
        f"\\caption{{{escaped(block.caption)}}}\n\\end{{figure}}}}{{}}"
    )


def table(block: Table) -> str:
    """A float as wide as the page at most: paragraphs of words, or a scaled tabular."""
    prose = block.words == len(block.header)
    columns = _paragraphs(block) if prose else _columns(block)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row(block.header),
        r"\midrule",
        *_body(block),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    fitted = lines if prose else [r"\resizebox{\ifdim\width>\linewidth\linewidth"]
    if not prose:
        fitted = [fitted[0] + r"\else\width\fi}{!}{%", *lines, "}"]
    caption = rf"\caption{{{escaped(block.caption)}}}"
    whole = [r"\begin{table}", r"\small\centering", caption, *fitted]
    return "\n".join([*whole, r"\end{table}"])


def _paragraphs(block: Table) -> str:
    """Columns that break their lines; what is longer gets more of the page."""
    columns = zip(block.header, *block.rows, strict=True)
    weights = [math.sqrt(max(8, *map(len, cells))) for cells in columns]
    shares = [0.87 * weight / sum(weights) for weight in weights]
    return "".join(
        rf">{{\raggedright\arraybackslash}}p{{{share:.3f}\linewidth}}"
        for share in shares
    )


def _columns(block: Table) -> str:
    return "l" * block.words + "r" * (len(block.header) - block.words)


def _body(block: Table) -> list[str]:
    rows = [_row(row) for row in block.rows]
    return [*rows[:-1], r"\midrule", rows[-1]] if block.last and rows else rows


def _row(cells: tuple[str, ...]) -> str:
    return " & ".join(escaped(cell) for cell in cells) + r" \\"


def escaped(text: str) -> str:
    """Text on one line with every mark of LaTeX's made harmless."""
    return "".join(MARKS.get(letter, letter) for letter in " ".join(text.split()))
