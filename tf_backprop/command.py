"""The command line of a lesson. To import this imports TensorFlow, quietly: a lesson does so first."""

from collections.abc import Collection

from tf_backprop.support import startup
from tf_backprop.support.arguments import run
from tf_backprop.support.errors import UsageError

__all__ = ["MOST", "check", "check_between", "check_choice", "run"]

startup.import_tensorflow()

#: No lesson has a use for more steps, epochs or rows than this; their history would fill the memory.
MOST = 10_000_000

#: Above this, float32 has no numbers left.
LARGEST = 3.4e38


def check(seed: int = 0, **arguments: float | None) -> None:
    """Raise `UsageError`, naming the argument, unless `seed` is at least 0 and all the others are positive and finite.

    Whole numbers may be at most `MOST`; None stands for a default and is left alone.
    """
    if not isinstance(seed, int) or seed < 0:
        raise UsageError(f"--seed must be a whole number from 0, not {seed}")
    for name, value in arguments.items():
        option = "--" + name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, int):
            if not 1 <= value <= MOST:
                raise UsageError(f"{option} must be a whole number from 1 to {MOST:,}, not {value}")
        elif not (isinstance(value, float) and 0 < value < LARGEST):
            raise UsageError(f"{option} must be a positive number below {LARGEST:g}, not {value}")


def check_choice(choices: Collection[str], **arguments: str) -> None:
    """Raise `UsageError`, naming the argument, unless all are among `choices`."""
    for name, value in arguments.items():
        if value not in choices:
            raise UsageError(f"--{name.replace('_', '-')} must be one of {', '.join(choices)}, not {value}")


def check_between(low: float, high: float, **arguments: float) -> None:
    """Raise `UsageError`, naming the argument, unless all are numbers from `low` to `high`."""
    for name, value in arguments.items():
        if not low <= value <= high:  # nor is NaN
            raise UsageError(f"--{name.replace('_', '-')} must be a number from {low:g} to {high:g}, not {value}")
