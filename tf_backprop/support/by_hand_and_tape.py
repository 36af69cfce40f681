"""The check that the lessons call until they call ``check_gradients``: by hand, by tape and by differences."""

from collections.abc import Callable, Mapping, Sequence

from tf_backprop.support.errors import GradientError
from tf_backprop.support.tables import table

import numpy as np

TAPE_TOLERANCE, DIFFERENCE_TOLERANCE = 1e-9, 1e-6


def check_by_hand_and_tape(
    loss: Callable,
    gradients_by_hand: Callable | None,
    gradients_by_tape: Callable,
    parameters: Mapping[str, np.ndarray] | float,
    batch: Sequence[np.ndarray],
    seed: int = 0,
    must_agree: bool = True,
    label: str = "dL_d{}",
) -> None:
    """Compare gradients written by hand with the tape and with central differences, and print a row a parameter.

    All of it in float64, where rounding is far below any mistake, and relative to the norm of the tape's gradient. The
    central difference (L(p + h v) - L(p - h v)) / 2h is taken along one random direction v a parameter p; of two h the
    better one counts.

    Parameters
    ----------
    loss
        ``loss(parameters, *batch)``, a scalar.
    gradients_by_hand, gradients_by_tape
        ``gradients(parameters, *batch)``, of the form of `parameters`. Without one by hand, the tape's is checked.
    parameters
        Arrays by name, or one bare number, called A. They should not be zero: zeros hide mistakes.
    batch
        What `loss` takes after the parameters; floating-point arrays are turned into float64.
    seed
        For the random directions.
    must_agree
        False to show a gradient that is known to be wrong.
    label
        How a gradient is called in the table, with {} for its parameter.

    Raises
    ------
    GradientError
        When a gradient has not its parameter's shape, or a difference is larger than rounding.
    """
    if not isinstance(parameters, Mapping):
        named = [
            g and (lambda p, *batch, g=g: {"A": g(p["A"], *batch)}) for g in (gradients_by_hand, gradients_by_tape)
        ]
        of_named = lambda p, *batch: loss(p["A"], *batch)  # noqa: E731
        return check_by_hand_and_tape(of_named, *named, {"A": parameters}, batch, seed, must_agree, label)
    import tensorflow as tf

    point = {name: tf.constant(np.asarray(value), tf.float64) for name, value in parameters.items()}
    batch = [tf.constant(a, tf.float64) if np.asarray(a).dtype.kind == "f" else tf.constant(a) for a in batch]
    by_tape = gradients_by_tape(point, *batch)
    checked = gradients_by_hand(point, *batch) if gradients_by_hand else by_tape
    rng = np.random.default_rng(seed)
    rows, wrong = [], []
    for name, value in parameters.items():
        shape = np.shape(value)
        called = label.format(name)
        gradient, tape = np.asarray(checked[name]), np.asarray(by_tape[name])
        if gradient.shape != shape:
            raise GradientError(f"{called} has shape {gradient.shape}, but {name} has {shape}")
        size = max(float(np.linalg.norm(tape)), 1e-12)
        from_tape = float(np.max(np.abs(gradient - tape))) / size
        direction, slopes = rng.standard_normal(shape), []
        for h in (1e-5, 1e-7):  # the smaller one for a kink, such as ReLU's, between the two points of the larger
            ahead, behind = (float(loss({**point, name: point[name] + s * h * direction}, *batch)) for s in (1, -1))
            slopes.append((ahead - behind) / (2 * h))
        from_differences = np.min(np.abs(np.array(slopes) - np.sum(gradient * direction))) / size
        shown = f"{from_tape:.1e}" if gradients_by_hand else None
        rows.append([called, str(shape), shown, f"{from_differences:.1e}"])
        if not (from_tape < TAPE_TOLERANCE and from_differences < DIFFERENCE_TOLERANCE):
            wrong.append(called)
    print(table(["gradient", "shape", "from the tape", "from differences"], rows))
    if wrong and must_agree:
        raise GradientError(f"{', '.join(wrong)}: the gradient disagrees with the tape or with central differences")
