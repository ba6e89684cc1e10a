"""The arms that most studies compare, and what the papers claim of them."""

from __future__ import annotations

from keras16.study import Arm, Claim

FIRST, SECOND = "arXiv 2301.12809", "arXiv 2305.10947"

PLAIN = Arm(name="16-plain", fields={"precision": "16-plain"})
PURE = Arm(name="16", fields={"precision": "16"})
KAHAN = Arm(name="16, Kahan", fields={"precision": "16", "rounding": "kahan"})
FULL = Arm(name="32", fields={"precision": "32"})
MIXED = Arm(name="mixed", fields={"precision": "mixed"})
# Float32 once more with other seeds: what the procedure says of nothing but chance.
CONTROL = Arm(name="32, other seeds", fields={"precision": "32"}, seed_offset=1000)


def of(arm: str, what: str, asked: str = "") -> tuple[Claim, ...]:
    """What the papers claim of pure float16, asked of one arm.

    Args:
        arm: Its name.
        what: How the sentences call it, such as "Plain float16".
        asked: Added to the source where the papers did not claim it of this arm.
    """
    return (
        Claim(
            text=f"{what} is as accurate as float32.",
            source=f"{SECOND}{asked}",
            kind="equivalent",
            arm=arm,
            published="within the standard deviations",
        ),
        Claim(
            text=f"{what} is as accurate as mixed precision.",
            source=f"{SECOND}{asked}",
            kind="equivalent",
            arm=arm,
            against="mixed",
            published="within the standard deviations",
        ),
        Claim(
            text=f"{what} is more accurate than float32.",
            source=f"{FIRST}{asked}",
            kind="superior",
            arm=arm,
            published="competitive, if not superior",
        ),
        Claim(
            text=f"{what} is more than 1.3 times as fast as float32.",
            source=f"{SECOND}{asked}",
            kind="faster",
            arm=arm,
            bound=1.3,
            published="1.3 to 2.2 times as fast",
        ),
        Claim(
            text=f"{what} makes models of half the size.",
            source=f"{FIRST}{asked}",
            kind="smaller",
            arm=arm,
            bound=0.51,
            published="half",
        ),
        Claim(
            text=f"{what} trains without diverging.",
            source=f"{SECOND}{asked}",
            kind="stable",
            arm=arm,
        ),
    )


CLAIMS = (
    *of("16-plain", "Plain float16"),
    *of("16", "keras16's float16", ", asked of keras16"),
)
