"""The two ways in which a command ends early, both told in one line."""

from __future__ import annotations


class UserError(ValueError):
    """Input that cannot be used: the text says what is wrong and what to do.

    The command line prints it as one line and exits with 2; nothing prints a
    traceback. Library users may catch it as a `ValueError`.
    """


class PrecisionError(UserError):
    """Two precisions in one process, or a variable of another dtype than asked."""
