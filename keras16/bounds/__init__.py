"""How far rounding can have moved the outputs of a 16-bit net: bounds with a proof."""

from __future__ import annotations

from keras16.bounds._bound import Analysis, ErrorBound, analyse, error_bound

__all__ = ["Analysis", "ErrorBound", "analyse", "error_bound"]
