"""Practice: a lesson's backward pass with its right sides blank, and a check that names the line that is wrong."""

from tf_backprop.support.practice.commands import UnsolvedError, check, check_functions, check_of, practice

__all__ = ["UnsolvedError", "check", "check_functions", "check_of", "practice"]
