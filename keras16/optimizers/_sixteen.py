"""What the optimizers share in 16 bits."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras16 import backend
from keras16.backend import optimizer as private
from keras16.numerics import bits, moments, noise, softfloat, tables
from keras16.numerics.softfloat import SoftFloat
from keras16.optimizers import _accumulation, _averaging, _clipping, _rounding
from keras16.optimizers._group import Group, grouped
from keras16.optimizers._rate import Rate, word_of
from keras16.optimizers._shared import SharedUpdate

MEAN, ROOT = 1, 2  # draws of random words for Adam's averages


class Kernel(NamedTuple):
    """A step by a kernel (`backend.tensorflow_kernels.updated`).

    Attributes:
        name: Of the operation.
        slots: Of all variables of the optimizer, of each kind.
        words: Of the step.
    """

    name: str
    slots: list[list[Any]]
    words: list[Any]


class SixteenBit:
    """A mixin before one of Keras' optimizers.

    16-bit variables are given `_sixteen_step`, as one vector (see `_group`); any
    other one Keras' own update.
    The learning rate is an int32 word (see `_rate`), so that 1e-8 is not 0, and
    neither rate, step nor weight decay is rounded before they meet the weight.

    Args:
        rounding: "nearest", "kahan" or "stochastic": how a 16-bit weight is rounded
            once it is updated (see `_rounding`).
        seed: Of the chance that slow averages, and with "stochastic" the weights,
            are rounded by.
        *args, **kwargs: As Keras' optimizer of the same name takes them.

    Attributes:
        compiles_updates: They are kernels, or else compiled programs of their own, in
            any graph.
    """

    compiles_updates = True

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
            self._rate_word = self._scalar(softfloat.word(rate), "learning_rate")

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:  # type: ignore[attr-defined]
            return
        super().build(variables)  # type: ignore[misc]
        if not any(_is_narrow(v) for v in variables):
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
            self._rate_word.assign(softfloat.word(float(value)))
            return
        if not callable(value):
            raise TypeError(
                "This optimizer's learning rate is a schedule, which can't be set: "
                "create it with a float learning_rate instead."
            )
        from keras16 import schedules

        is_schedule = isinstance(value, keras.optimizers.schedules.LearningRateSchedule)
        self._learning_rate = schedules.get(value) if is_schedule else value

    # One step

    def _backend_update_step(self, gradients: Any, variables: Any, rate: Any) -> None:
        pairs = list(zip(gradients, variables, strict=True))
        wide = [(g, v) for g, v in pairs if not _is_narrow(v)]
        word = bits.read(word_of(rate))
        if wide:
            float32 = ops.view(word, "float32")
            super()._backend_update_step(*zip(*wide, strict=True), float32)  # type: ignore[misc]
        narrow = {id(v): g for g, v in pairs if _is_narrow(v)}
        for group in self.groups(v for _, v in pairs if id(v) in narrow):
            found = [private.dense(narrow[id(v)]) for v in group.variables]
            self._compiled_update(group)(word, *found)

    def _compiled_update(self, group: Group) -> Callable[..., None]:
        """The update of a group, compiled once though steps be called one by one."""
        own = self._own_update(group)
        if own is not None:
            return own
        known = self.__dict__.setdefault("_updates", {})
        if private.shares_updates() and len(group.variables) == 1:
            shape = (group.shape, group.dtype, self._decay(group.variables[0]))
            if shape not in known:
                known[shape] = SharedUpdate(self, group, self._update_group)
            return functools.partial(known[shape], group)
        key = tuple(map(id, group.variables))
        if key not in known:
            known[key] = private.fused(functools.partial(self._update_group, group))
        return known[key]

    def _own_update(self, group: Group) -> Callable[..., None] | None:
        """The same by a kernel of keras16's own; None where there is none for it."""
        if self.rounding != "nearest" or not self._has_kernel():
            return None
        own = backend.module().own_kernels(*group.weights())
        return None if own is None else functools.partial(self._by_kernel, own, group)

    def _has_kernel(self) -> bool:
        """Whether `_kernel` says what these settings' step is, rounded to nearest."""
        return False

    def _kernel(self, group: Group, word: Any) -> Kernel:
        """What a kernel is given for the step of a group.

        Args:
            group: Of the optimizer.
            word: Of the learning rate.
        """
        raise NotImplementedError

    def _by_kernel(self, own: Any, group: Group, word: Any, *gradients: Any) -> None:
        """Moves weights and slots of a group as `_sixteen_step` says."""
        kernel = self._kernel(group, word)
        slots = [group.chosen(each) for each in kernel.slots]
        moved = own.updated(
            kernel.name,
            group.weights(),
            [ops.cast(gradient, group.dtype) for gradient in gradients],
            [[ops.convert_to_tensor(one) for one in each] for each in slots],
            kernel.words,
        )
        for variables, values in zip((group.variables, *slots), moved, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def _update_group(self, group: Group, word: Any, *gradients: Any) -> None:
        weight, step = self.intended(group, word, gradients)
        self._rounding.write(self, group, weight, step)

    def intended(
        self, group: Group, word: Any, gradients: Sequence[Any]
    ) -> tuple[SoftFloat, SoftFloat]:
        """The weights of a group and the step from there, before it is rounded.

        The slots move; the weights don't.

        Args:
            group: Of the optimizer.
            word: Of the learning rate.
            gradients: One for each variable of the group.

        Returns:
            (weights, what to subtract from them), both as vectors.
        """
        gradient = softfloat.of(ops.cast(group.flat(gradients), group.dtype))
        rate = softfloat.of_word(word)
        weight = self._rounding.read(self, group)
        step = self._sixteen_step(gradient, group, rate)
        decay = self._decay(group.variables[0])
        if decay:
            step = step + rate * softfloat.number(decay) * weight
        return weight, step

    def _sixteen_step(
        self, gradient: SoftFloat, group: Group, rate: SoftFloat
    ) -> SoftFloat:
        """What to subtract from the weights of some 16-bit variables.

        Args:
            gradient: Of all of them, as one vector.
            group: The variables.
            rate: The learning rate.

        Returns:
            Vector of the same length.
        """
        raise NotImplementedError

    def groups(self, variables: Any) -> list[Group]:
        """The 16-bit ones of some variables, as they are updated together."""
        narrow = [v for v in variables if _is_narrow(v)]
        return grouped(self, narrow, self._decay)

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
        narrow = all(_is_narrow(g) for g in gradients)
        if narrow and self.clipnorm:  # type: ignore[attr-defined]
            dense = [private.dense(g) for g in gradients]
            limit = self.clipnorm  # type: ignore[attr-defined]
            return [_clipping.to_norm([g], limit)[0] for g in dense]
        if narrow and self.global_clipnorm:  # type: ignore[attr-defined]
            dense = [private.dense(g) for g in gradients]
            return _clipping.to_norm(dense, self.global_clipnorm)  # type: ignore[attr-defined]
        return super()._clip_gradients(gradients)  # type: ignore[misc]

    def _backend_apply_gradients(self, gradients: Any, variables: Any) -> None:
        narrow = all(_is_narrow(v) for v in variables)
        if narrow and self.gradient_accumulation_steps:  # type: ignore[attr-defined]
            _accumulation.apply(self, gradients, variables)
        else:
            super()._backend_apply_gradients(gradients, variables)  # type: ignore[misc]

    def _update_model_variables_moving_average(self, variables: Any) -> None:
        wide = [v for v in variables if not _is_narrow(v)]
        if wide or not self.use_ema:  # type: ignore[attr-defined]
            super()._update_model_variables_moving_average(variables)  # type: ignore[misc]
            return
        for group in self.groups(variables):
            _averaging.update(self, group)

    # What a step is written with

    def random(self, group: Group, draw: int = 0) -> Any:
        """Random int32 words for the elements of a group in this step.

        Args:
            group: Of the optimizer.
            draw: 0 for the weights, 1 to 7 for the averages.
        """
        key = group.key(self.seed, draw)
        return noise.drawn(group.shape, key, self._iterations)  # type: ignore[attr-defined]

    def by_step(
        self, name: str, function: Callable[[np.ndarray], np.ndarray]
    ) -> SoftFloat:
        """A non-negative function of the number of this step, counted from 1.

        Args:
            name: One name for one function: its table is made once.
            function: Of float64 numbers from 1 on.
        """
        return softfloat.of_word(self.word_by_step(name, function))

    def word_by_step(
        self, name: str, function: Callable[[np.ndarray], np.ndarray]
    ) -> Any:
        """The same as an int32 word, the bits of a float32."""
        known = self.__dict__.setdefault("_tables", {})
        if name not in known:
            known[name] = tables.tabulated(lambda step: function(step + 1))
        return known[name].at(self.iterations)  # type: ignore[attr-defined]

    def share(self, name: str, beta: float) -> SoftFloat:
        """(1 - beta) / (1 - beta**step): of an average over the steps so far."""
        return softfloat.of_word(self.word_of_share(name, beta))

    def word_of_share(self, name: str, beta: float) -> Any:
        """The same as an int32 word, the bits of a float32."""
        return self.word_by_step(name, lambda t: (1 - beta) / seen(beta, t))

    def slot(self, slots: list[Any], group: Group) -> SoftFloat:
        """What the slots of a group hold.

        Args:
            slots: Of all variables of the optimizer.
            group: Whose they are.
        """
        return softfloat.of(group.read(slots))

    def keep(
        self, slots: list[Any], group: Group, value: SoftFloat, draw: int
    ) -> SoftFloat:
        """Gives the slots of a group a value, rounded by chance.

        Args:
            slots: Of all variables of the optimizer.
            group: Whose they are.
            value: A vector.
            draw: Another one for each slot.
        """
        kept = group.once(self.rounded_by_chance(group, value, draw))
        group.write(slots, kept)
        return softfloat.of(kept)

    def rounded_by_chance(self, group: Group, value: SoftFloat, draw: int) -> Any:
        """A vector for the slots of a group, in 16 bits and right on average.

        Args:
            group: Whose they are.
            value: A vector.
            draw: Another one for each slot.
        """
        return value.rounded(group.dtype, self.random(group, draw))

    def moved_mean(
        self, slots: list[Any], group: Group, gradient: SoftFloat
    ) -> SoftFloat:
        """Moves Adam's average of gradients, which needs no bias corrected."""
        share = self.share("share_1", self.beta_1)  # type: ignore[attr-defined]
        mean = moments.moved(self.slot(slots, group), gradient, share)
        return self.keep(slots, group, mean, MEAN)

    def moved_deviation(
        self, slots: list[Any], group: Group, gradient: SoftFloat
    ) -> SoftFloat:
        """Moves the root of Adam's average of squares, likewise."""
        share = self.share("share_2", self.beta_2)  # type: ignore[attr-defined]
        root = moments.moved_root(self.slot(slots, group), gradient, share)
        return self.keep(slots, group, root, ROOT)

    def add_fraction(self, variable: Any, name: str) -> Any:
        """A slot of int16 for what a 16-bit slot or weight leaves out."""
        return self.add_variable(  # type: ignore[attr-defined]
            shape=variable.shape,
            dtype="int16",
            name=f"{private.path(variable)}_{name}",
        )

    def add_exponent(self, variable: Any, name: str) -> Any:
        """A slot of one int32 for the power of two that a slot is kept times."""
        return self._scalar(0, f"{private.path(variable)}_{name}")

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
