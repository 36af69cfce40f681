"""``python -m tf_backprop`` runs all lessons, with ``01 05`` some; three other words do other things.

``doctor`` looks at the machine, ``practice`` writes exercises, and ``check`` checks them.
"""

import os
import sys


def main() -> None:
    """Import no more than the command needs: the doctor must run where nothing else does."""
    from tf_backprop.support import arguments, lessons

    sys.excepthook = lessons.load(lessons.SCRIPTS / "tf_backprop.py").before_run
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "doctor":
        from tf_backprop.support import doctor

        arguments.run(doctor.main, sys.argv[2:])
    elif word in ("practice", "check"):
        from tf_backprop.support import practice

        arguments.run(getattr(practice, word), sys.argv[2:])
    else:
        from tf_backprop.support import runner

        arguments.run(runner.run_lessons)


if __name__ == "__main__":
    sys.path[:] = [folder for folder in sys.path if folder != os.getcwd()]  # a reader's random.py there is not Python's
    main()
