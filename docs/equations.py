"""Typesets the equations of a lesson's docstring: ``dL/dW = xᵀ dL/dz`` becomes TeX; the script keeps its text.

Whatever this small grammar does not know raises `NoFormula`. Then the page shows the plain text, never a wrong formula.
"""

import itertools
import re

QUANTITIES = ("leak", "under", "momentum", "learning_rate")
SYMBOLS = {
    "σ": r"\sigma",
    "β": r"\beta",
    "ε": r"\varepsilon",
    "y_hat": r"\hat{y}",
    "<-": r"\leftarrow",
    "·": r"\cdot",
    "...": r"\dots",
}
POWERS = {"²": "^2", "ᵀ": r"^\mathsf{T}", "ᵗ": "^t", "'": "'"}

END = r"(?![A-Za-z0-9_])"  # for Python ² and ᵀ are letters
NAME = r"y_hat|[A-Za-zσβε](?:\d|_\w|_\([^()]*\))?"
TOKENS = {
    "derivative": rf"d(?:{NAME})[/_]d(?:{NAME}){END}",  # dL/dW, and dL_dW as the code writes it
    "quantity": rf"(?:{'|'.join(QUANTITIES)}){END}",
    "name": rf"(?:{NAME}){END}",
    "number": r"\d+",
    "word": rf"[a-z]{{2,}}{END}",  # a function in front of its bracket, and otherwise a word between formulas
    "sum": r"Σ(?:_\w)?",
    "sign": r"<-|\.\.\.|[-+·/=<>,()\[\]^²ᵀᵗ'√]",
}
TOKEN = re.compile(r"(?P<gap> *)(?:" + "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in TOKENS.items()) + ")")
RELATIONS = ("=", "<-", "<", ">")


class NoFormula(ValueError):  # noqa: N818
    """Something that the grammar of these equations does not know."""


def typeset(block):
    """Return the TeX of a block of plain equations; cells of a line stand at least two spaces apart.

    What stands in front of the first relation is aligned at the right, and notes at the end of the lines at the left.
    Lines that begin with a label, such as "tanh", are aligned among themselves.
    """
    lines = [re.sub(r" +(=|<-|·) +", r" \1 ", line).strip() for line in block.splitlines() if line.strip()]
    rows = [re.split(r" {2,}", line) for line in lines]
    groups = [list(group) for _, group in itertools.groupby(rows, key=lambda row: _is_formula(row[0]))]
    return "\n".join(_aligned(group) for group in groups)


def _is_formula(cell):
    return bool(re.search(r"(^| )(=|<-) ", cell) or re.match(TOKENS["derivative"], cell))


def _aligned(rows):
    counts = {sum(map(_is_formula, row)) for row in rows}
    between = " && " if counts not in ({0}, {1}) and len(counts) == 1 else r"\quad "
    lines = [_row(row, between) for row in rows]
    return "\\begin{align*}\n" + " \\\\[0.5ex]\n".join(lines) + "\n\\end{align*}"


def _row(cells, between):
    notes = []
    while not _is_formula(cells[-1]):
        notes.insert(0, _note(cells[-1]))
        cells = cells[:-1]
        if not cells:
            raise NoFormula(f"a line without a formula: {notes}")
    converted = [_formula(cell) if _is_formula(cell) else _note(cell) for cell in cells]
    if _is_formula(cells[0]):
        left, *right = re.split(r"(?=(?<!\S)(?:=|\\leftarrow) )", converted[0], maxsplit=1)
        converted[0] = f"{left.strip()} & {''.join(right)}"
    else:
        converted[:2] = [r"\quad & ".join(converted[:2])]
    return " && ".join([between.join(converted), *notes])


def _note(cell):
    """Return a note as text, in which the symbols look as they do in the formulas."""
    rest = re.compile(rf"(?P<symbol>(?<![\w'])(?:{TOKENS['derivative']}|(?!a\b)(?:{NAME})){END}[²ᵀ]?)|->|[_%&#$\\{{}}]")

    def typed(match):
        if match["symbol"]:
            return f"${_formula(match['symbol'])}$"
        return r"$\to$" if match[0] == "->" else f"\\{match[0]}"

    return rf"\text{{{rest.sub(typed, cell)}}}"


def _formula(text):
    parser = _Parser(text)
    tex = parser.formula()
    if parser.tokens:
        raise NoFormula(f"cannot read {parser.tokens[0][1]!r} in {text!r}")
    return tex


def _name(text):
    base, index = re.fullmatch(r"(y_hat|.)_?(.*)", text).groups()
    return SYMBOLS.get(base, base) + (f"_{{{index.strip('()')}}}" if index else "")


def _in_brackets(tex):
    left, right = (r"\left(", r"\right)") if r"\frac" in tex else ("(", ")")
    return f"{left}{tex}{right}"


class _Parser:
    """Reads one formula from left to right, with one method for each rule of the grammar."""

    def __init__(self, text):
        self.text = text
        self.tokens = []  # kind, text, and whether it touches what stands in front of it
        place = 0
        while place < len(text):
            match = TOKEN.match(text, place)
            if not match:
                raise NoFormula(f"cannot read {text[place:]!r} in {text!r}")
            self.tokens.append((match.lastgroup, match[match.lastgroup], not match["gap"]))
            place = match.end()

    def next(self, *texts):
        return bool(self.tokens) and self.tokens[0][1] in texts

    def touches(self, text):
        return self.next(text) and self.tokens[0][2]

    def take(self, expected=None):
        if not self.tokens or expected not in (None, self.tokens[0][1]):
            raise NoFormula(f"{expected or 'something'} is missing in {self.text!r}")
        return self.tokens.pop(0)[:2]

    def formula(self, inside=False):
        """Expressions, with relations, commas and words between them."""
        parts = []
        while self.tokens and not self.next(")", "]"):
            words = []
            while self.tokens and self.tokens[0][0] == "word" and not self.is_call():
                words.append(self.take()[1])
            if words:
                parts.append(rf"\text{{ {' '.join(words)} }}")
            elif self.next(*RELATIONS):
                sign = self.take()[1]
                parts.append(f" {SYMBOLS.get(sign, sign)} ")
            elif self.next(","):
                self.take()
                parts.append(", " if inside or not self.tokens or self.tokens[0][0] == "word" else r",\quad ")
            else:
                parts.append(self.expression())
        return "".join(parts)

    def is_call(self):
        return self.next("log") or (len(self.tokens) > 1 and self.tokens[1][1:] == ("(", True))

    def expression(self):
        """Terms, with + and - between them."""
        tex = self.take()[1] if self.next("-") else ""
        tex += self.term()
        while self.next("+", "-"):
            tex += f" {self.take()[1]} "
            tex += self.term()
        return tex

    def term(self):
        """Factors side by side, with dots, or over a fraction bar, which takes all that stands to its left."""
        tex, bare = self.factor()
        while True:
            if self.next("/"):
                self.take()
                below, bare_below = self.factor()
                tex, bare = rf"\frac{{{bare or tex}}}{{{bare_below or below}}}", None
            elif self.next("·"):
                self.take()
                tex, bare = rf"{tex} \cdot {self.factor()[0]}", None
            elif self.starts_factor():
                factor = self.factor()[0]
                tex, bare = tex + (" " if factor.startswith("(") else r"\, ") + factor, None
            else:
                return tex

    def starts_factor(self):
        if not self.tokens:
            return False
        kind, text, _ = self.tokens[0]
        return (
            kind in ("derivative", "quantity", "name", "number", "sum") or text in ("(", "√", "...") or self.is_call()
        )

    def factor(self):
        """Return the TeX of a factor and, if it is a bracket and nothing more, what is in it."""
        if not self.starts_factor():
            raise NoFormula(f"a factor is missing in {self.text!r}")
        called = self.is_call()
        kind, text = self.take()
        if text == "(":
            return self.powers_of_bracket()
        if text == "√":
            tex, bare = self.factor()
            return rf"\sqrt{{{bare or tex}}}", None
        if kind == "sum":
            return rf"\sum{text[1:]} {self.term()}", None
        if kind == "derivative":
            of, by = re.fullmatch(rf"d({NAME})[/_]d({NAME})", text).groups()
            tex = rf"\frac{{d{_name(of)}}}{{d{_name(by)}}}"
            return (rf"\left({tex}\right){self.powers()}" if self.next(*POWERS) else tex), None
        if kind == "word":
            tex = r"\log " if text == "log" else rf"\operatorname{{{text}}}"
            return tex + (self.powers_of_bracket()[0] if self.touches("(") else self.factor()[0]), None
        tex = rf"\text{{{text}}}".replace("_", r"\_") if kind == "quantity" else _name(text) if kind == "name" else text
        tex = SYMBOLS.get(text, tex) + self.powers()
        if called or (kind == "name" and tex.endswith("'") and self.touches("(")):
            tex += self.powers_of_bracket()[0]
        return tex, None

    def powers_of_bracket(self):
        if self.next("("):
            self.take()
        inside = self.formula(inside=True)
        self.take(")")
        powers = self.powers()
        return _in_brackets(inside) + powers, None if powers else inside

    def powers(self):
        """Read what touches the end of a factor: a power, a prime, a transpose or an index."""
        tex = ""
        while any(map(self.touches, (*POWERS, "^", "["))):
            sign = self.take()[1]
            if sign == "^":
                tex += f"^{{{'-' if self.next('-') and self.take() else ''}{self.factor()[0]}}}"
            elif sign == "[":
                tex += f"[{self.formula(inside=True)}]"
                self.take("]")
            else:
                tex += POWERS[sign]
        return tex
