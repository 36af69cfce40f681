"""The lessons' training done other ways, timed side by side in one run: ``make bench``, ``python -m benchmarks``."""
