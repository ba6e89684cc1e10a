"""What this machine is, what to expect of 16 bits on it, and what is wrong with it.

`gathered` looks, `measured` measures; the words are pure functions of what they find,
so that any machine can be pretended.
"""

from keras16.doctor.advice import Finding, findings, is_broken
from keras16.doctor.facts import Facts, Speed, gathered, measured
from keras16.doctor.words import description, expectation

__all__ = [
    "Facts",
    "Finding",
    "Speed",
    "description",
    "expectation",
    "findings",
    "gathered",
    "is_broken",
    "measured",
]
