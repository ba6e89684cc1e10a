"""Moving averages whose slot has 16 bits: what the optimizers keep.

To nearest, an average that moves by a share of 1/1000 stops within a quarter of its
goal in float16, and one of 1/10,000 does not move at all. So they are computed in
`softfloat` and rounded by chance: each step is right on average, and so are many
steps (see `numerics.noise`).

The second moment of a gradient needs twice the range of the gradient; its root does
not (Bjorck et al., arXiv 2102.13565, section 4). So squares are kept as roots.
"""

from __future__ import annotations

from keras16.numerics.softfloat import SoftFloat


def moved(average: SoftFloat, target: SoftFloat, share: SoftFloat) -> SoftFloat:
    """Average + share (target - average); share in [0, 1]."""
    return average + share * (target - average)


def moved_root(root: SoftFloat, x: SoftFloat, share: SoftFloat) -> SoftFloat:
    """sqrt((1 - share) root**2 + share x**2).

    Args:
        root: Non-negative.
        x: Of either sign.
        share: In [0, 1].
    """
    x = abs(x)
    gap = (x - root) * (x + root)
    # Of subnormals a product of three would keep no bit.
    return with_square(root, share * gap.normal())


def grown_root(root: SoftFloat, x: SoftFloat) -> SoftFloat:
    """sqrt(root**2 + x**2) of a non-negative root."""
    return with_square(root, x * x)


def with_square(root: SoftFloat, more: SoftFloat) -> SoftFloat:
    """sqrt(root**2 + more), as root + more / (its own value + root).

    A small addend is so right to 2**-10 of itself, beside a root that is exact.
    """
    moved = (root * root + more).root()
    return root + more / (moved + root)
