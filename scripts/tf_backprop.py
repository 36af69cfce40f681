"""Not a lesson: a lesson finds this file first, and is sent on to the package of the same name.

Where the package is not installed, that is the folder beside this one. So any Python can say in
one line what it lacks, and which Python to use.
"""

import importlib
import runpy
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
others = [folder for folder in sys.path if Path(folder).resolve() != here]
sys.path[:] = [*others, str(here.parent)]

if __name__ == "__main__":  # python -m tf_backprop, typed in this folder
    runpy.run_module("tf_backprop", run_name="__main__")
else:
    del sys.modules[__name__]
    arguments = importlib.import_module("tf_backprop.support.arguments")
    if hasattr(sys.modules["__main__"], "__file__") and "ipykernel" not in sys.modules:
        sys.excepthook = arguments.before_run
