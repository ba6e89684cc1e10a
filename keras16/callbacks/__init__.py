"""Callbacks for `model.fit`, Keras' own or keras16's."""

from keras16.callbacks.precision_monitor import PrecisionMonitor

__all__ = ["PrecisionMonitor"]
