"""What is the same in lessons 09, 10 and 11 is tested in test_11_mnist_softmax_hand_derived.py."""

import numpy as np
import pytest


@pytest.mark.slow
def test_try_more_epochs(lesson, default_result, tmp_path):
    result = lesson.main(data="digits", epochs=1000, figures=tmp_path)  # twice the default
    assert result.costs[999] < 0.85 * result.costs[499]
    assert result.test_accuracy >= default_result.test_accuracy


@pytest.mark.slow
def test_try_a_tenth_of_the_rate(lesson, tmp_path):
    slow = lesson.main(data="digits", learning_rate=0.001, figures=tmp_path)
    fast = lesson.main(data="digits", epochs=51, figures=tmp_path)  # a little more than a tenth of the epochs
    assert slow.costs[-1] > fast.costs[-1]
    assert np.all(np.diff(slow.costs) < 0)


def test_the_step_is_the_optimizers(lesson, tmp_path, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.keras.optimizers.SGD, "apply_gradients", lambda *_: None)
    result = lesson.main(data="digits", epochs=1, figures=tmp_path)
    assert not result.parameters["W"].any()
