"""What the optimizers share in 16 bits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.backend import optimizer as private
from keras16.numerics import bits, moments, noise, scaled, tables
from keras16.numerics.scaled import Scaled
from keras16.optimizers import _accumulation, _averaging, _clipping, _rounding
from keras16.optimizers._rate import Rate, word_of

# Draws for one variable in one step: its weight, and up to seven averages.
_DRAWS = 8


class SixteenBit:
    """A mixin before one of Keras' optimizers.

    A 16-bit variable is given `_sixteen_step`; any other one Keras' own update.
    The learning rate is an int32 word (see `_rate`), so that 1e-8 is not 0, and
    neither rate, step nor weight decay is rounded before they meet the weight.

    Args:
        rounding: "nearest", "kahan" or "stochastic": how a 16-bit weight is rounded
            once it is updated (see `_rounding`).
        seed: Of the chance that slow averages, and with "stochastic" the weights,
            are rounded by.
        *args, **kwargs: As Keras' optimizer of the same name takes them.
    """

    def __init__(
        self, *args: Any, rounding: str = "nearest", seed: int = 0, **kwargs: Any
    ) -> None:
        from keras16 import schedules

        keras_init = super().__init__
        given = inspect.signature(keras_init).bind(*args, **kwargs)
        given.apply_defaults()
        rate = given.arguments["learning_rate"]
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            given.arguments["learning_rate"] = rate = schedules.get(rate)
        is_number = isinstance(rate, float)
        if is_number:
            # Given a function, Keras makes no variable of its own: a float one.
            given.arguments["learning_rate"] = lambda: rate
        keras_init(*given.args, **given.kwargs)
        self._rounding = _rounding.get(rounding)
        self.rounding = rounding
        self.seed = seed
        if is_number:
            self._learning_rate = rate
            self._rate_word = self._scalar(scaled.word(rate), "learning_rate")

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:  # type: ignore[has-type]
            return
        super().build(variables)  # type: ignore[misc]
        narrow = [v for v in variables if _is_narrow(v)]
        self._narrow = len(narrow)
        if not narrow:
            return
        self._rounding.build(self, variables)
        _averaging.build(self, variables)
        _accumulation.build(self, variables)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()  # type: ignore[misc]
        if isinstance(self._learning_rate, float):
            config["learning_rate"] = float(self.learning_rate)
        return {**config, "rounding": self.rounding, "seed": self.seed}

    # The learning rate

    @property
    def learning_rate(self) -> Rate:
        """The rate of this step: reads as a number; settable where it is one."""
        rate = self._learning_rate
        if isinstance(rate, float):
            return Rate(self._rate_word)
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            return Rate(rate.word(self._iterations))  # type: ignore[attr-defined]
        return Rate(word_of(rate()))

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._learning_rate, float) and not callable(value):
            self._rate_word.assign(scaled.word(float(value)))
            return
        if not callable(value):
            raise TypeError(
                "This optimizer's learning rate is a schedule, which can't be set: "
                "create it with a float learning_rate instead."
            )
        from keras16 import schedules

        is_schedule = isinstance(value, keras.optimizers.schedules.LearningRateSchedule)
        self._learning_rate = schedules.get(value) if is_schedule else value

    @property
    def peak_rate(self) -> float:
        """The largest rate that is known before training; 1 of a user's function."""
        if isinstance(self._learning_rate, float):
            return self._learning_rate
        return getattr(self._learning_rate, "peak", 1.0)

    # One step

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        word = word_of(learning_rate)
        if not _is_narrow(variable):
            rate = ops.view(ops.convert_to_tensor(word), "float32")
            super().update_step(gradient, variable, rate)  # type: ignore[misc]
            return
        dtype = bits.name_of(variable)
        rate = scaled.of_word(ops.convert_to_tensor(word), dtype)
        gradient = ops.cast(private.dense(gradient), dtype)
        steps = [self._sixteen_step(gradient, variable, rate)]
        decay = self._decay(variable)
        if decay:
            weight = scaled.normal(ops.convert_to_tensor(variable))
            steps.append(rate.times(scaled.number(decay, dtype)).times(weight))
        self._rounding.subtract(self, variable, steps)

    def _sixteen_step(self, gradient: Any, variable: Any, rate: Scaled) -> Scaled:
        """What to subtract from a 16-bit variable, of its shape."""
        raise NotImplementedError

    def _decay(self, variable: Any) -> float:
        """The decoupled weight decay of a variable."""
        return private.weight_decay(self, variable)

    def _apply_weight_decay(self, variables: Any) -> None:
        """Only of wider variables: a 16-bit one has it in its step.

        Taken alone, learning_rate x weight_decay x w is below half a unit in the
        last place of w and would never change it.
        """
        if self.weight_decay is None:  # type: ignore[attr-defined]
            return
        for variable in variables:
            decay = 0.0 if _is_narrow(variable) else self._decay(variable)
            if decay:
                word = ops.convert_to_tensor(self.learning_rate.word)
                rate = ops.cast(ops.view(word, "float32"), bits.name_of(variable))
                variable.assign(variable - variable * decay * rate)

    def _clip_gradients(self, gradients: Any) -> Any:
        narrow = self._narrow and all(_is_narrow(g) for g in gradients)
        if narrow and self.clipnorm:  # type: ignore[attr-defined]
            dense = [private.dense(g) for g in gradients]
            limit = self.clipnorm  # type: ignore[attr-defined]
            return [_clipping.to_norm([g], limit)[0] for g in dense]
        if narrow and self.global_clipnorm:  # type: ignore[attr-defined]
            dense = [private.dense(g) for g in gradients]
            return _clipping.to_norm(dense, self.global_clipnorm)  # type: ignore[attr-defined]
        return super()._clip_gradients(gradients)  # type: ignore[misc]

    def _backend_apply_gradients(self, gradients: Any, variables: Any) -> None:
        if self._narrow and self.gradient_accumulation_steps:  # type: ignore[attr-defined]
            _accumulation.apply(self, gradients, variables)
        else:
            super()._backend_apply_gradients(gradients, variables)  # type: ignore[misc]

    def _update_model_variables_moving_average(self, variables: Any) -> None:
        if self._narrow and self.use_ema:  # type: ignore[attr-defined]
            _averaging.update(self, variables)
        else:
            super()._update_model_variables_moving_average(variables)  # type: ignore[misc]

    # What a step is written with

    def slot(self, slots: list[Any], variable: Any) -> Any:
        """The slot of a variable in one of the optimizer's lists."""
        return slots[private.index(self, variable)]

    def slots(self, variable: Any, *lists: list[Any]) -> list[Any]:
        """The slots of a variable and, as tensors, what they hold."""
        found = [self.slot(each, variable) for each in lists]
        return [*found, *(ops.convert_to_tensor(slot) for slot in found)]

    def random(self, variable: Any, draw: int = 0) -> Any:
        """Random int32 words for a variable in this step.

        Args:
            variable: Of the optimizer.
            draw: 0 for the weight, 1 to 7 for the averages.
        """
        place = private.index(self, variable) * _DRAWS + draw
        key = noise.key(self.seed, self._iterations, place)  # type: ignore[attr-defined]
        return noise.drawn(tuple(variable.shape), key)

    def by_step(
        self, name: str, function: Callable[[np.ndarray], np.ndarray], dtype: str
    ) -> Scaled:
        """A non-negative function of the number of this step, counted from 1.

        Args:
            name: One name for one function: its table is made once.
            function: Of float64 numbers from 1 on.
            dtype: Of the value.
        """
        known = self.__dict__.setdefault("_tables", {})
        if name not in known:
            known[name] = tables.tabulated(lambda step: function(step + 1))
        return scaled.of_word(known[name].at(self.iterations), dtype)  # type: ignore[attr-defined]

    def share(self, name: str, beta: float, dtype: str) -> Scaled:
        """(1 - beta) / (1 - beta**step): of an average over the steps so far."""
        return self.by_step(name, lambda t: (1 - beta) / seen(beta, t), dtype)

    def moved_mean(self, slots: list[Any], variable: Any, gradient: Any) -> Any:
        """Moves Adam's average of gradients, which needs no bias corrected."""
        slot, mean = self.slots(variable, slots)
        share = self.share("share_1", self.beta_1, bits.name_of(variable))  # type: ignore[attr-defined]
        mean = moments.moved(mean, gradient, share, self.random(variable, 1))
        self.assign(slot, mean)  # type: ignore[attr-defined]
        return mean

    def moved_deviation(self, slots: list[Any], variable: Any, gradient: Any) -> Any:
        """Moves the root of Adam's average of squares, likewise."""
        slot, root = self.slots(variable, slots)
        share = self.share("share_2", self.beta_2, bits.name_of(variable))  # type: ignore[attr-defined]
        root = moments.moved_root(root, gradient, share, self.random(variable, 2))
        self.assign(slot, root)  # type: ignore[attr-defined]
        return root

    def add_fraction(self, variable: Any, name: str) -> Any:
        """A slot of int16 for what a 16-bit slot or weight leaves out."""
        return self.add_variable(  # type: ignore[attr-defined]
            shape=variable.shape,
            dtype="int16",
            name=f"{private.path(variable)}_{name}",
        )

    def _scalar(self, value: Any, name: str) -> Any:
        initializer = keras.initializers.Constant(int(value))
        return self.add_variable(  # type: ignore[attr-defined]
            shape=(), initializer=initializer, dtype="int32", name=name
        )


def seen(beta: float, steps: Any) -> Any:
    """1 - beta**steps in float64, without cancellation."""
    with np.errstate(divide="ignore"):
        return -np.expm1(steps * np.log(beta))


def _is_narrow(x: Any) -> bool:
    return bits.is_16_bit(bits.name_of(x))
