"""The optimizers as Keras defines them, in float64.

Each is called with a weight and the gradients of its steps, one after another,
and returns the weight after each step.
"""

import numpy as np


def sgd(weight, gradients, rate, momentum=0.0, nesterov=False, decay=0.0):
    weight, velocity, path = np.float64(weight), 0.0, []
    for gradient in gradients:
        shrunk = weight * rate * decay
        velocity = momentum * velocity - rate * gradient
        step = velocity
        if nesterov:
            step = momentum * velocity - rate * gradient
        weight = weight - shrunk + step
        path.append(weight)
    return np.array(path)


def rmsprop(
    weight,
    gradients,
    rate,
    rho=0.9,
    momentum=0.0,
    epsilon=1e-7,
    centered=False,
    decay=0.0,
):
    weight, velocity, mean, speed, path = np.float64(weight), 0.0, 0.0, 0.0, []
    for gradient in gradients:
        shrunk = weight * rate * decay
        velocity = rho * velocity + (1 - rho) * gradient**2
        mean = rho * mean + (1 - rho) * gradient
        variance = velocity - mean**2 if centered else velocity
        step = rate * gradient / np.sqrt(variance + epsilon)
        speed = momentum * speed + step
        weight = weight - shrunk - speed
        path.append(weight)
    return np.array(path)


def adam(
    weight,
    gradients,
    rate,
    beta_1=0.9,
    beta_2=0.999,
    epsilon=1e-7,
    amsgrad=False,
    decay=0.0,
):
    weight, first, second, largest, path = np.float64(weight), 0.0, 0.0, 0.0, []
    for step, gradient in enumerate(gradients, 1):
        shrunk = weight * rate * decay
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        largest = np.maximum(largest, second)
        used = largest if amsgrad else second
        corrected = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        weight = weight - shrunk - corrected * first / (np.sqrt(used) + epsilon)
        path.append(weight)
    return np.array(path)


def adam_velocity(gradients, beta_2):
    """The second moment after all of some gradients, its bias corrected."""
    second = np.zeros(gradients.shape[1:])
    for gradient in gradients:
        second = beta_2 * second + (1 - beta_2) * gradient**2
    return second / (1 - beta_2 ** len(gradients))
