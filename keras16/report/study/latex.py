"""A report as LaTeX: a document that compiles alone, tables in booktabs.

Its tables are floats of a few lines each, to be copied into a paper.
"""

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

PREAMBLE = r"""
% pdflatex NAME.tex; the tables need booktabs and graphicx alone. LaTeX reads no SVG: of
% the figures those are shown that lie beside as PDF, as rsvg-convert makes them, say:
% for f in NAME-*.svg; do rsvg-convert -f pdf -o ${f%.svg}.pdf $f; done
\documentclass[a4paper,10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx,url}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.5em}
\emergencystretch=3em
""".strip()
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
        f"{PREAMBLE}\n\\title{{{title}}}\n\\date{{}}\n\\begin{{document}}\n"
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
            lines = "\n".join(block.lines)
            return f"\\begin{{verbatim}}\n{lines}\n\\end{{verbatim}}"
        case Table():
            return table(block)


def _figure(block: Figure) -> str:
    """A float, or nothing where nobody made a PDF of the SVG file."""
    file = block.file.removesuffix(".svg") + ".pdf"
    return (
        f"\\IfFileExists{{{file}}}{{\\begin{{figure}}[!htbp]\n\\centering\n"
        f"\\includegraphics[width=\\linewidth]{{{file}}}\n"
        f"\\caption{{{escaped(block.caption)}}}\n\\end{{figure}}}}{{}}"
    )


def table(block: Table) -> str:
    """A float as wide as the page: narrow columns of words, or a scaled tabular."""
    prose = block.words == len(block.header)
    width = f"p{{{0.86 / len(block.header):.3f}\\linewidth}}"
    columns = width * len(block.header) if prose else _columns(block)
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
    whole = [r"\begin{table}[!htbp]", r"\small\centering", caption, *fitted]
    return "\n".join([*whole, r"\end{table}"])


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
