"""What is the same in lessons 09, 10 and 11 is tested in test_11_mnist_softmax_hand_derived.py."""

import pytest


@pytest.mark.slow
def test_try_a_larger_rate(lesson, tmp_path):
    fast, slow = (lesson.main(data="digits", learning_rate=rate, figures=tmp_path) for rate in (0.5, 0.01))
    assert fast.costs[-1] < slow.costs[-1] / 3
    assert fast.test_accuracy > slow.test_accuracy


@pytest.mark.slow
def test_try_larger_batches(lesson, tmp_path):
    large, small = (lesson.main(data="digits", batch_size=size, epochs=50, figures=tmp_path) for size in (1000, 100))
    assert large.costs[-1] > small.costs[-1] + 0.5
    # a tenth of the steps per epoch: after ten times the epochs it is where the small batches were
    later = lesson.main(data="digits", batch_size=1000, epochs=550, figures=tmp_path)
    assert abs(later.costs[-1] - small.costs[-1]) < 0.05
