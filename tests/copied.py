"""The four acts of a lesson, as a reader would copy them into an empty notebook."""

import inspect
import linecache

import numpy as np
import tensorflow as tf

#: What a line of a lesson's imports starts with when it imports what comes with Python.
STANDARD = ("import itertools", "import os", "import time", "from functools", "from pathlib", "from typing")


def acts(lesson):
    """Execute the acts Prepare to Iterate with NumPy and TensorFlow alone; return the names that they define."""
    source = inspect.getsource(lesson)
    start, end = source.index("# %%\n# Prepare\n"), source.index("# %%\n", source.index("# %%\n# Iterate\n") + 1)
    imports = [line for line in source.splitlines() if line.startswith(STANDARD)]
    copied, name = "\n".join([*imports, source[start:end]]), f"<copied from {lesson.__name__}>"
    linecache.cache[name] = (len(copied), None, copied.splitlines(keepends=True), name)  # as notebooks do
    namespace = {"np": np, "tf": tf, "__name__": "copied"}
    exec(compile(copied, name, "exec"), namespace)
    return namespace
