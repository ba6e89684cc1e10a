"""Batch normalization in float64."""

import numpy as np


def train(x, gamma, beta, gradient, epsilon):
    """One training step over the rows of a matrix.

    Args:
        x: [n, channels].
        gamma, beta: [channels].
        gradient: [n, channels], that of the outputs.
        epsilon: Added to the variance.

    Returns:
        A dict: outputs, the gradients of x, gamma and beta, the mean and the
        standard deviation of the columns.
    """
    x, gamma, beta, gradient = (
        np.asarray(a, "float64") for a in (x, gamma, beta, gradient)
    )
    n = len(x)
    mean, variance = x.mean(axis=0), x.var(axis=0)
    spread = np.sqrt(variance + epsilon)
    unit = (x - mean) / spread
    of_gamma = (gradient * unit).sum(axis=0)
    of_beta = gradient.sum(axis=0)
    of_x = gamma / spread * (gradient - of_beta / n - unit * of_gamma / n)
    return {
        "outputs": unit * gamma + beta,
        "x": of_x,
        "gamma": of_gamma,
        "beta": of_beta,
        "mean": mean,
        "deviation": np.sqrt(variance),
    }


def infer(x, gamma, beta, mean, variance, epsilon):
    """The outputs at inference, over the last axis."""
    x = np.asarray(x, "float64")
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def moved(average, values, momentum):
    """A moving average after each of some values, Keras' way."""
    for value in values:
        average = momentum * average + (1 - momentum) * value
    return average
