"""`compare`: which precision to use for a net of one's own, and why."""

from keras16.comparison.job import compare
from keras16.comparison.probe import Probe
from keras16.comparison.row import Row
from keras16.comparison.verdict import Comparison

__all__ = ["Comparison", "Probe", "Row", "compare"]
