"""``python -m tf_backprop`` runs all lessons, with ``01 05`` some; ``doctor`` looks at the machine instead."""

import sys


def main() -> None:
    """Import no more than the command needs: the doctor must run where nothing else does."""
    if sys.argv[1:2] == ["doctor"]:
        from tf_backprop.support import doctor

        sys.exit(doctor.main(sys.argv[2:]))
    from tf_backprop.support import arguments, runner

    arguments.run(runner.run_lessons)


if __name__ == "__main__":
    main()
