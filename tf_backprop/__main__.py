"""``python -m tf_backprop`` runs all lessons, with ``01 05`` some; the first word may be a command instead.

``doctor`` looks at the machine; ``readme``, ``ledger`` and ``verified`` renew the README's tables.
"""

import sys


def main() -> None:
    """Import no more than the command needs: the doctor must run where nothing else does."""
    word, *rest = sys.argv[1:] or [""]
    if word == "doctor":
        from tf_backprop import doctor

        sys.exit(doctor.main(rest))
    from tf_backprop import command

    if word == "readme":
        from tf_backprop import readme

        command.run(readme.renew, rest)
    elif word == "ledger":
        from tf_backprop import ledger

        command.run(ledger.renew, rest)
    elif word == "verified":
        from tf_backprop import arrays

        command.run(arrays.renew, rest)
    else:
        from tf_backprop import demo

        command.run(demo.demo)


if __name__ == "__main__":
    main()
