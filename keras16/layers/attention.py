"""Attention in 16 bits: softmax, masks and sums that neither widen nor stall."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.layers.dense import EinsumDense
from keras16.layers.dropout import Dropout
from keras16.layers.softmax import Softmax, masked
from keras16.numerics import bits, broadcasting, draws, products, softmax


class _Weighted:
    """The weights of both layers below: softmax, masked and dropped out."""

    def _apply_scores(
        self, scores: Any, value: Any, scores_mask: Any = None, training: Any = False
    ) -> Any:
        if not bits.is_16_bit(scores.dtype):
            return super()._apply_scores(scores, value, scores_mask, training)  # type: ignore[misc]
        weights = _weights(scores, scores_mask)
        if training and self.dropout > 0:  # type: ignore[attr-defined]
            seed = self.seed_generator  # type: ignore[attr-defined]
            weights = draws.dropout(weights, self.dropout, seed=seed)  # type: ignore[attr-defined]
        return products.matmul(weights, value), weights


@keras.saving.register_keras_serializable(package="keras16")
class Attention(_Weighted, keras.layers.Attention):
    """Keras' dot-product attention; its own softmax gradient adds in 16 bits.

    A query all of whose keys are masked gets zeros.
    """

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        if not bits.is_16_bit(query.dtype):
            return super()._calculate_scores(query, key)
        scores = self._products(query, key)
        weight = self.scale if self.score_mode == "dot" else self.concat_score_weight
        if weight is None:
            return scores
        return broadcasting.multiply(scores, ops.convert_to_tensor(weight))

    def _products(self, query: Any, key: Any) -> Any:
        if self.score_mode == "dot":
            return products.matmul(query, ops.swapaxes(key, -2, -1))
        pairs = _pairs(query, key)
        if self.scale is not None:
            pairs = broadcasting.multiply(pairs, ops.convert_to_tensor(self.scale))
        ones = ops.ones((query.shape[-1], 1), dtype=pairs.dtype)
        return ops.squeeze(products.matmul(ops.tanh(pairs), ones), -1)


@keras.saving.register_keras_serializable(package="keras16")
class AdditiveAttention(_Weighted, keras.layers.AdditiveAttention):
    """Keras' layer; the gradient of its own scale stalls at 2,048 pairs."""

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        if not bits.is_16_bit(query.dtype):
            return super()._calculate_scores(query, key)
        pairs = ops.tanh(_pairs(query, key))
        scale = ops.ones((query.shape[-1],), dtype=pairs.dtype)
        if self.use_scale:
            scale = ops.convert_to_tensor(self.scale)
        return ops.squeeze(products.matmul(pairs, ops.expand_dims(scale, -1)), -1)


class _Heads:
    """The parts of both layers below that Keras builds for itself, ours instead."""

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        super().build(query_shape, value_shape, key_shape)  # type: ignore[misc]
        if not bits.is_16_bit(self.compute_dtype):  # type: ignore[attr-defined]
            return
        for part in vars(self).values():
            twin = _TWINS.get(type(part))
            if twin is not None:
                # The twin has other methods and no other state, and Keras has no
                # argument for the classes of its parts.
                part.__class__ = twin

    def _mask_of(
        self, query: Any, value: Any, mask: Any, use_causal_mask: bool = False
    ) -> Any:
        """With the causal one, which newer Keras leaves to its fused kernels."""
        if not use_causal_mask:
            return mask
        causal = self._compute_causal_mask(query, value)  # type: ignore[attr-defined]
        if mask is None:
            return causal
        return ops.logical_and(ops.cast(mask, "bool"), causal)

    def _weighted(
        self, scores: Any, value: Any, mask: Any, training: Any, rate: float
    ) -> tuple[Any, Any]:
        """What is attended to, and by which weights."""
        weights = kept = self._masked_softmax(scores, mask)  # type: ignore[attr-defined]
        if rate > 0:
            kept = self._dropout_layer(weights, training=training)  # type: ignore[attr-defined]
        equation = self._combine_equation  # type: ignore[attr-defined]
        return products.einsum(equation, kept, value), weights


_TWINS: dict[type, type] = {
    keras.layers.EinsumDense: EinsumDense,
    keras.layers.Dropout: Dropout,
    keras.layers.Softmax: Softmax,
}


@keras.saving.register_keras_serializable(package="keras16")
class MultiHeadAttention(_Heads, keras.layers.MultiHeadAttention):
    """Keras' layer; its own casts the scores to float32.

    Args: as `keras.layers.MultiHeadAttention`; 16 bits have no flash attention,
            which is not asked for then.
    """

    def _compute_attention(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: Any = None,
        return_attention_scores: bool = False,
        **kw: Any,
    ) -> Any:
        if not bits.is_16_bit(query.dtype):
            given = attention_mask, training, return_attention_scores
            return super()._compute_attention(query, key, value, *given, **kw)
        scaled = query * ops.cast(self._inverse_sqrt_key_dim, query.dtype)
        scores = products.einsum(self._dot_product_equation, key, scaled)
        mask = self._mask_of(query, value, attention_mask, **kw)
        return self._weighted(scores, value, mask, training, self._dropout)


@keras.saving.register_keras_serializable(package="keras16")
class GroupedQueryAttention(_Heads, keras.layers.GroupQueryAttention):
    """Keras' layer; its own casts the scores to float32.

    Keras exports the class under another name than it gives it; so do we.

    Args: as `keras.layers.GroupQueryAttention`; 16 bits have no flash attention,
            which is not asked for then.
    """

    def _compute_attention(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: Any = None,
        **kw: Any,
    ) -> Any:
        if not bits.is_16_bit(query.dtype):
            given = attention_mask, training
            return super()._compute_attention(query, key, value, *given, **kw)
        scaled = query * ops.cast(self._inverse_sqrt_head_dim, query.dtype)
        scores = products.einsum(self._dot_product_equation, scaled, key)
        mask = self._mask_of(query, value, attention_mask, **kw)
        return self._weighted(scores, value, mask, training, self.dropout)


GroupQueryAttention = GroupedQueryAttention


def _weights(scores: Any, mask: Any) -> Any:
    if mask is None:
        return softmax.softmax(scores)
    if len(mask.shape) == 2:
        mask = ops.expand_dims(mask, -2)
    return masked(scores, mask)


def _pairs(query: Any, key: Any) -> Any:
    """[batch, queries, n] and [batch, keys, n] -> their sums [batch, q, k, n]."""
    return broadcasting.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
