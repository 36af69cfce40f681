"""The check that every gradient written by hand has to pass, element by element."""

import numpy as np
import tensorflow as tf


def assert_gradients_right(loss, by_hand, by_tape, parameters, batch):
    """Compare with the tape in float32 (rtol 1e-4) and with `tf.test.compute_gradient` in float64 (1e-6).

    `parameters` is a dict of arrays, or one bare number; `loss` and the gradients take it and then `batch`.
    Both differences are relative to the largest element of the gradient, so that elements near zero count less.
    """
    bare = not isinstance(parameters, dict)
    named = {"A": parameters} if bare else parameters

    def cast(dtype):
        arrays = [np.asarray(a) for a in batch]
        return (
            {k: tf.constant(v, dtype) for k, v in named.items()},
            [tf.constant(a, dtype if a.dtype.kind == "f" else None) for a in arrays],
        )

    def call(function, at, arrays):
        result = function(at["A"] if bare else at, *arrays)
        return {"A": result} if bare else dict(result)

    at, arrays = cast(tf.float32)
    hand, tape = call(by_hand, at, arrays), call(by_tape, at, arrays)
    assert set(hand) == set(named)
    for key in named:
        assert hand[key].shape == at[key].shape, f"dL_d{key} has the shape {hand[key].shape}"
        np.testing.assert_allclose(
            hand[key], tape[key], rtol=1e-4, atol=1e-4 * _size(tape[key]), err_msg=f"tape, {key}"
        )

    at, arrays = cast(tf.float64)
    hand = call(by_hand, at, arrays)
    for key in named:

        def of_one(value, key=key):
            there = {**at, key: value}
            return loss(there["A"] if bare else there, *arrays)

        (numeric,) = tf.test.compute_gradient(of_one, [at[key]], delta=1e-5)[1]
        numeric = np.reshape(numeric, at[key].shape)
        np.testing.assert_allclose(
            hand[key], numeric, rtol=1e-6, atol=1e-6 * _size(numeric), err_msg=f"central differences, {key}"
        )


def _size(array):
    return max(float(np.max(np.abs(array))), 1e-12)
