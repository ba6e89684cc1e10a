"""Bytes, seconds and shares as a person reads them."""

from __future__ import annotations

import math


def size_text(count: int) -> str:
    """Bytes in powers of ten to three digits, such as "312 kB" or "1.52 GB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.9995 * scale:
            return f"{float(f'{count / scale:.3g}'):g} {unit}"
    return f"{count} bytes"


def seconds(duration: float | None) -> str:
    """Seconds to three digits, such as "3.14 s" or "1,234 s"; "-" where unknown."""
    if duration is None:
        return "-"
    return f"{duration:.3g} s" if duration < 999.5 else f"{duration:,.0f} s"


def percent(share: float | None) -> str:
    """A share in [0, 1] as "97.83 %"; "-" where unknown or not a number."""
    known = share is not None and math.isfinite(share)
    return f"{100 * share:.2f} %" if known and share is not None else "-"


def number(value: float | None) -> str:
    """A loss to four digits, such as "0.0712"; "-" where unknown."""
    return "-" if value is None else f"{value:.4g}"
