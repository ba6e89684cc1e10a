"""How much of a compiled program is wider than 16 bits, read off XLA's text of it.

What is counted lies in memory between two kernels. What a kernel computes wider
inside of itself (a fused loop, a reduction) is not.
"""

from __future__ import annotations

import re

COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
INSTRUCTION = re.compile(r"^ +(?:ROOT )?%?[\w.-]+ = (\(.*?\)|\S+) ([\w-]+)\(")
INSIDE = re.compile(r"(?:calls|to_apply)=%?([\w.-]+)")
FLOAT = re.compile(r"\b(bf16|f\d+\w*|c64|c128)\[")
WIDE = ("f32", "f64", "c64", "c128")
# They name what others have computed.
MOVES_NOTHING = {
    "bitcast",
    "call",
    "conditional",
    "constant",
    "get-tuple-element",
    "parameter",
    "tuple",
    "while",
}


def widening(text: str) -> tuple[int, int]:
    """The floating tensors of an optimized program.

    Args:
        text: The program, as XLA prints it.

    Returns:
        (all of them, those wider than 16 bits).
    """
    inside = _inside_of_kernels(text)
    found: list[str] = []
    name = ""
    for line in text.splitlines():
        header = COMPUTATION.match(line)
        name = header[1] if header else name
        instruction = INSTRUCTION.match(line)
        if instruction and name not in inside and instruction[2] not in MOVES_NOTHING:
            found += FLOAT.findall(instruction[1])
    return len(found), sum(dtype in WIDE for dtype in found)


def _inside_of_kernels(text: str) -> set[str]:
    """The computations that are a part of one kernel."""
    found: set[str] = set()
    for line in text.splitlines():
        instruction = INSTRUCTION.match(line)
        if instruction and instruction[2] != "call":
            found.update(INSIDE.findall(line))
    return found
