"""The language of the check and of practice: English, or Chinese by the catalogue in ``locale/``.

A message is an English text, which is also its key in the catalogue. ``str`` and ``print`` show it in the reader's
language; whatever compares or searches it sees the English. The language is the one that ``--lang`` asks for, or else
the variable ``TF_BACKPROP_LANG``; without both, a lesson prints English, and all else follows the locale.
"""

from __future__ import annotations  # so that the doctor runs on a Python that is too old

import contextlib
import functools
import gettext
import locale
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tf_backprop.support.errors import UsageError

VARIABLE = "TF_BACKPROP_LANG"
LANGUAGES = ("en", "zh")
FOLDER = Path(__file__).with_name("locale")

_asked: str | None = None  # by --lang
_in_lesson = False


class Message(str):
    """An English text that is shown in the reader's language."""

    template: str
    values: dict[str, object]

    def __str__(self) -> str:
        """Return the text in the reader's language; `values` that are messages are translated too."""
        template = catalogue().gettext(self.template) if language() == "zh" else self.template
        return template.format(**self.values)


def say(template: str, /, **values: object) -> Message:
    """Return the message of a template, which stands in the catalogue, with values by name."""
    english = {name: str.__str__(value) if isinstance(value, Message) else value for name, value in values.items()}
    message = Message(template.format(**english))
    message.template, message.values = template, values
    return message


def joined(parts: Iterable[str], pair: str = "{a}, {b}") -> str:
    """Return messages as one; `pair` is the template of two that stand side by side."""
    return functools.reduce(lambda a, b: say(pair, a=a, b=b), parts)


def language() -> str:
    """Return the language of what is shown now: "en" or "zh"."""
    return _asked or os.environ.get(VARIABLE) or ("en" if _in_lesson else of_locale())


def of_locale() -> str:
    """Return the language of the locale, from the variables that gettext reads, or from the system."""
    variables = (os.environ.get(name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    wanted = next(filter(None, variables), None) or locale.getlocale()[0] or ""
    known = re.findall(r"(?:^|:)(zh|Chinese|en|C\b|POSIX)", wanted)
    return "zh" if known and known[0] in ("zh", "Chinese") else "en"


def use(lang: str | None) -> None:
    """Speak a language from now on; None is the reader's own, and not the English of a lesson."""
    global _asked, _in_lesson
    for name, value in (("--lang", lang), (VARIABLE, os.environ.get(VARIABLE))):
        if value and value not in LANGUAGES:
            raise UsageError(f"{name} must be one of {', '.join(LANGUAGES)}, not {value}")
    _asked, _in_lesson = lang, False


@contextlib.contextmanager
def of_lesson() -> Iterator[None]:
    """Speak English, as lessons do, unless another language is asked for."""
    global _asked, _in_lesson
    before = _asked, _in_lesson
    _in_lesson = True
    try:
        yield
    finally:
        _asked, _in_lesson = before


def catalogue() -> gettext.NullTranslations:
    """Return the Chinese catalogue, which gettext reads once."""
    return gettext.translation("tf_backprop", FOLDER, ["zh_CN"])


def aligned(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in which a Chinese character is as wide as two others; None is a dash."""
    from tf_backprop.support.tables import table  # the doctor runs without what it needs

    texts = [["-" if cell is None else str(cell) for cell in row] for row in (headers, *rows)]
    wide = [[re.sub("([\u2e80-\uffee])", "\\1\0", text) for text in row] for row in texts]
    return table(wide[0], wide[1:], as_is=True).replace("\0", "")
