"""``python -m tf_backprop`` runs all lessons, with ``01 05`` some; ``doctor`` looks at the machine instead."""

import sys


def main() -> None:
    """Import no more than the command needs: the doctor must run where nothing else does."""
    from tf_backprop.support import arguments

    if sys.argv[1:2] == ["doctor"]:
        from tf_backprop.support import doctor

        arguments.run(doctor.main, sys.argv[2:])
    else:
        from tf_backprop.support import runner

        arguments.run(runner.run_lessons)


if __name__ == "__main__":
    main()
