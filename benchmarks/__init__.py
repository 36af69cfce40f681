"""Times the lessons' training beside other ways of doing it, in one run: ``make bench``, ``python -m benchmarks``."""
