"""What the lessons in ``scripts/`` share and do not teach: data, drawing, tables and the command line."""

__all__ = ["check_gradients"]


def __getattr__(name):
    """Import the check when it is first asked for, and not with the package."""
    if name in __all__:
        from tf_backprop import gradient_check

        return getattr(gradient_check, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
