"""Optimizers in float64, one line an equation, as Keras defines them.

Each is a class with `step(weights, gradient, rate)`, which returns new weights.
"""

import numpy as np


class SGD:
    def __init__(self, momentum=0.0, nesterov=False):
        self.momentum, self.nesterov, self.velocity = momentum, nesterov, 0.0

    def step(self, weights, gradient, rate):
        self.velocity = self.momentum * self.velocity - rate * gradient
        if self.nesterov:
            return weights + self.momentum * self.velocity - rate * gradient
        return weights + self.velocity


class RMSprop:
    def __init__(self, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon
        self.centered = centered
        self.square, self.mean, self.velocity = 0.0, 0.0, 0.0

    def step(self, weights, gradient, rate):
        self.square = self.rho * self.square + (1 - self.rho) * gradient**2
        below = self.square + self.epsilon
        if self.centered:
            self.mean = self.rho * self.mean + (1 - self.rho) * gradient
            below = below - self.mean**2
        step = rate * gradient / np.sqrt(below)
        self.velocity = self.momentum * self.velocity + step
        return weights - self.velocity


class Adam:
    def __init__(
        self, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, weight_decay=0.0
    ):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.amsgrad, self.weight_decay = amsgrad, weight_decay
        self.mean, self.square, self.largest, self.count = 0.0, 0.0, 0.0, 0

    def moments(self, gradient):
        self.count += 1
        self.mean = self.beta_1 * self.mean + (1 - self.beta_1) * gradient
        self.square = self.beta_2 * self.square + (1 - self.beta_2) * gradient**2
        seen_1 = 1 - self.beta_1**self.count
        seen_2 = 1 - self.beta_2**self.count
        return seen_1, seen_2

    def step(self, weights, gradient, rate):
        seen_1, seen_2 = self.moments(gradient)
        self.largest = np.maximum(self.largest, self.square)
        square = self.largest if self.amsgrad else self.square
        below = np.sqrt(square) + self.epsilon
        weights = weights * (1 - rate * self.weight_decay)
        return weights - rate * np.sqrt(seen_2) / seen_1 * self.mean / below


class AdamW(Adam):
    def __init__(self, weight_decay=0.004, **kwargs):
        super().__init__(weight_decay=weight_decay, **kwargs)


class Nadam(Adam):
    product = 1.0

    def step(self, weights, gradient, rate):
        _, seen_2 = self.moments(gradient)
        now = self.beta_1 * (1 - 0.5 * 0.96**self.count)
        following = self.beta_1 * (1 - 0.5 * 0.96 ** (self.count + 1))
        self.product = self.product * now
        mean = following * self.mean / (1 - self.product * following)
        mean = mean + (1 - now) * gradient / (1 - self.product)
        return weights - rate * mean / (np.sqrt(self.square / seen_2) + self.epsilon)


class Lamb(Adam):
    def step(self, weights, gradient, rate):
        seen_1, seen_2 = self.moments(gradient)
        below = np.sqrt(self.square / seen_2) + self.epsilon
        direction = self.mean / seen_1 / below
        length, other = np.linalg.norm(weights), np.linalg.norm(direction)
        ratio = length / other if length and other else 1.0
        return weights - rate * ratio * direction


class Adamax:
    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.mean, self.norm, self.count = 0.0, 0.0, 0

    def step(self, weights, gradient, rate):
        self.count += 1
        self.mean = self.beta_1 * self.mean + (1 - self.beta_1) * gradient
        self.norm = np.maximum(self.beta_2 * self.norm, np.abs(gradient))
        seen = 1 - self.beta_1**self.count
        return weights - rate * self.mean / (seen * (self.norm + self.epsilon))


class Adagrad:
    def __init__(self, initial_accumulator_value=0.1, epsilon=1e-7):
        self.square, self.epsilon = initial_accumulator_value, epsilon

    def step(self, weights, gradient, rate):
        self.square = self.square + gradient**2
        return weights - rate * gradient / np.sqrt(self.square + self.epsilon)


class Adadelta:
    def __init__(self, rho=0.95, epsilon=1e-7):
        self.rho, self.epsilon = rho, epsilon
        self.square, self.travelled = 0.0, 0.0

    def step(self, weights, gradient, rate):
        self.square = self.rho * self.square + (1 - self.rho) * gradient**2
        root = np.sqrt(self.travelled + self.epsilon)
        step = root * gradient / np.sqrt(self.square + self.epsilon)
        self.travelled = self.rho * self.travelled + (1 - self.rho) * step**2
        return weights - rate * step


class Lion:
    def __init__(self, beta_1=0.9, beta_2=0.99):
        self.beta_1, self.beta_2, self.mean = beta_1, beta_2, 0.0

    def step(self, weights, gradient, rate):
        blend = self.beta_1 * self.mean + (1 - self.beta_1) * gradient
        self.mean = self.beta_2 * self.mean + (1 - self.beta_2) * gradient
        return weights - rate * np.sign(blend)
