"""What can go wrong in a lesson, each as one line for the reader and one exit status for the shell."""


class LessonError(Exception):
    """A lesson could not be run or did not hold; the message is one complete line."""

    exit_status = 1


class UsageError(LessonError, ValueError):
    """An argument has a value that the lesson cannot use."""

    exit_status = 2


class DataError(LessonError):
    """A data file is missing, damaged or not what it says it is."""


class GradientError(LessonError):
    """A gradient written by hand disagrees with the tape or with central differences."""


class DivergedError(LessonError):
    """The loss stopped being a finite number."""


class WorkerError(LessonError):
    """A worker process failed, was lost or never started."""
