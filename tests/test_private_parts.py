"""The private parts of Keras that keras16 relies on: what moved is named here first."""

import importlib

import keras
import numpy as np
import pytest

from keras16 import backend, layers, losses, metrics, optimizers, registration
from keras16.backend import optimizer as private
from keras16.backend import outputs

# Private methods of Keras that classes of ours override: class and method.
OVERRIDDEN = {
    "AUC._build",
    "Add._merge_function",
    "AdditiveAttention._calculate_scores",
    "Attention._apply_scores",
    "Attention._calculate_scores",
    "Average._merge_function",
    "Concatenate._merge_function",
    "Dot._merge_function",
    "FBetaScore._build",
    "GroupedQueryAttention._compute_attention",
    "MultiHeadAttention._compute_attention",
    "Nadam._backend_update_step",
    "Optimizer._apply_weight_decay",
    "Optimizer._backend_apply_gradients",
    "Optimizer._backend_update_step",
    "Optimizer._clip_gradients",
    "Optimizer._update_model_variables_moving_average",
}
SLOTS = {
    "SGD": ({"momentum": 0.9}, ["momentums"]),
    "RMSprop": (
        {"momentum": 0.9, "centered": True},
        ["_velocities", "_momentums", "_average_gradients"],
    ),
    "Adam": ({"amsgrad": True}, ["_momentums", "_velocities", "_velocity_hats"]),
    "AdamW": ({}, ["_momentums", "_velocities"]),
    "Nadam": ({}, ["_momentums", "_velocities"]),
    "Lamb": ({}, ["_momentums", "_velocities"]),
    "Lion": ({}, ["_momentums"]),
    "Adamax": ({}, ["_m", "_u"]),
    "Adagrad": ({}, ["_accumulators"]),
    "Adadelta": ({}, ["_accumulated_grads", "_accumulated_delta_vars"]),
}
OF_EVERY_OPTIMIZER = (
    "_learning_rate",
    "_iterations",
    "_trainable_variables",
    "_variables",
    "_model_variables_moving_average",
    "_accumulated_gradients",
    "_get_variable_index",
    "_use_weight_decay",
    "_overwrite_model_variables_with_average_value",
)
MODULES = {
    registration.KERAS_REGISTRY: ["get_registered_object"],
    "keras.src.utils.naming": ["get_object_name"],
    "keras.src.trainers.data_adapters.array_slicing": ["convert_to_sliceable"],
    "keras.src.trainers.trainer": ["Trainer"],
    "keras.src.utils.python_utils": ["pythonify_logs"],
    "keras.src.backend.common.stateless_scope": ["get_stateless_scope"],
    "keras.src.backend.common.tensor_attributes": [
        "get_tensor_attr",
        "set_tensor_attr",
    ],
}
OF_A_BACKEND = {
    "tensorflow": {
        "keras.src.backend.tensorflow.core": ["name_scope"],
        "keras.src.backend.tensorflow.trainer": ["TFEpochIterator", "pythonify_logs"],
    },
    "jax": {
        "keras.src.backend.jax.core": ["name_scope", "standardize_dtype"],
        "keras.src.backend.jax.trainer": ["JAXEpochIterator"],
    },
}
MODULES |= OF_A_BACKEND[keras.backend.backend()]


def classes():
    """keras16's classes that stand for one of Keras."""
    for folder in (layers, losses, metrics, optimizers):
        for name in folder.__all__:
            found = getattr(folder, name)
            if isinstance(found, type):
                yield found


def overridden(cls):
    """Private methods of Keras that a class of ours replaces, by Keras' class."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("keras16")]
    stock = [base for base in cls.__mro__ if base.__module__.startswith("keras.")]
    for base in ours:
        for name, value in vars(base).items():
            if not name.startswith("_") or name.startswith("__") or not callable(value):
                continue
            owners = [owner for owner in stock if name in vars(owner)]
            if owners:
                yield f"{public(owners[0])}.{name}"


def public(owner):
    """The name of a class; each backend has one of its own below Optimizer."""
    is_base = owner in keras.optimizers.Optimizer.__mro__
    return "Optimizer" if is_base else owner.__name__


def test_the_private_methods_that_are_overridden_are_where_they_were():
    found = {name for cls in classes() for name in overridden(cls)}
    gone, new = OVERRIDDEN - found, found - OVERRIDDEN
    assert not gone, f"Keras {keras.__version__} has no {sorted(gone)} any more"
    assert not new, f"name these here, too: {sorted(new)}"


@pytest.mark.parametrize("name", SLOTS)
def test_the_slots_of_optimizers_have_their_names(name):
    settings, slots = SLOTS[name]
    optimizer = getattr(keras.optimizers, name)(
        1e-3, use_ema=True, gradient_accumulation_steps=2, **settings
    )
    optimizer.build([keras.Variable(np.zeros(3))])
    for slot in slots:
        assert len(getattr(optimizer, slot)) == 1, slot
    for each in OF_EVERY_OPTIMIZER:
        assert hasattr(optimizer, each), each
    assert set(slots) <= set(private.slot_lists(optimizer))


def test_every_optimizer_of_ours_is_looked_at():
    ours = {cls.__name__ for cls in classes() if issubclass(cls, optimizers.SixteenBit)}
    assert ours == set(SLOTS)


@pytest.mark.parametrize("module", MODULES)
def test_the_private_modules_are_where_they_were(module):
    found = importlib.import_module(module)
    for name in MODULES[module]:
        assert callable(getattr(found, name, None)), f"{module}.{name} is gone"


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX's trainer")
def test_the_trainer_of_jax_has_its_private_methods():
    for name in (
        *("_symbolic_build", "_get_jax_state", "metrics_variables"),
        "jax_state_sync",
    ):
        assert hasattr(keras.Model, name), name
    trainer = importlib.import_module("keras.src.trainers.trainer")
    assert callable(trainer.ops.sum)  # what adds the losses


def test_variables_are_drawn_in_one_private_method():
    owners = [
        base
        for base in keras.Variable.__mro__
        if "_initialize_with_initializer" in vars(base)
    ]
    assert owners


def test_tensors_keep_their_logits_and_masks_under_their_private_names():
    logits = keras.ops.convert_to_tensor(np.zeros((2, 3), "float32"))
    assert keras.activations.softmax(logits)._keras_logits is logits
    masked = keras.layers.Masking()(keras.ops.ones((2, 3, 4)))
    assert masked._keras_mask.shape == (2, 3)


def test_tensors_that_take_no_attributes_keep_their_logits_and_masks():
    """Those that JAX traces: Keras has a table for them."""

    class Bare:
        __slots__ = ("__weakref__",)

    tensor = Bare()
    assert outputs.logits_of(tensor) is None
    outputs.note_logits(tensor, "logits")
    assert outputs.logits_of(tensor) == "logits" and outputs.mask_of(tensor) is None


def test_orthogonal_weights_are_drawn_by_the_call_of_their_initializer():
    assert "__call__" in vars(keras.initializers.Orthogonal)


def test_losses_and_metrics_keep_their_function_and_its_arguments():
    loss = keras.losses.Huber(delta=2.0)
    assert callable(loss.fn) and loss._fn_kwargs["delta"] == 2.0
    metric = keras.metrics.CosineSimilarity(axis=1)
    assert callable(metric._fn) and "axis" in metric._fn_kwargs


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX alone")
def test_where_float64_is_asked_for_keras_does_not_narrow_it():
    dtypes = importlib.import_module("keras.src.backend.common.dtypes")
    assert dtypes.BIT64_TO_BIT32_DTYPE["float64"] == "float32"
    with backend.module().computing_float64():
        x = keras.ops.convert_to_tensor(np.array([0.5]))
        np.testing.assert_allclose(keras.ops.tanh(x), np.tanh([0.5]), rtol=1e-15)
    assert dtypes.BIT64_TO_BIT32_DTYPE["float64"] == "float32"
