"""The check and practice in the reader's language: the catalogue is complete, and a Chinese reader sees Chinese."""

import ast
import contextlib
import io
import re
import string
import sys

from tf_backprop import __main__ as commands
from tf_backprop import check_gradients, command
from tf_backprop.support import language, practice
from tf_backprop.support.errors import GradientError, UsageError
from tf_backprop.support.language import joined, say
from tf_backprop.support.practice import examining, making
from tools import catalogues, mistakes

import numpy as np
import pytest
from test_practice import HERE, lesson_of, solved

#: Where the check and practice say something.
PACKAGE = language.FOLDER.parents[1]
ROOMS = [PACKAGE / "gradient_check.py", *PACKAGE.glob("support/check/*.py"), *PACKAGE.glob("support/practice/*.py")]

HAN = r"[\u3400-\u9fff]"
#: Three English words in a row, as no formula and no code has them.
ENGLISH = re.compile(r"(?<![\w.])[a-z]{2,}[,;:]? [a-z]{2,}[,;:]? [a-z]{2,}(?![\w.])")

CHINESE = {"LC_ALL": "zh_CN.UTF-8"}


@pytest.fixture
def speak(monkeypatch):
    """Return a function that makes the environment a reader's: without any variable but those given."""

    def become(**environment):
        for name in (language.VARIABLE, "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    monkeypatch.setattr(language, "_asked", None)
    monkeypatch.setattr(language, "_in_lesson", False)
    return become


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that runs ``python -m tf_backprop`` in an empty folder: status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run_words(*words):
        monkeypatch.setattr(sys, "argv", ["tf_backprop", *words])
        monkeypatch.setattr(sys, "orig_argv", ["python", *sys.argv])
        monkeypatch.setattr(sys.modules["__main__"], "__file__", "tf_backprop", raising=False)
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        out, errors, status = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            try:
                commands.main()
            except SystemExit as end:
                status = end.code
        return status, out.getvalue(), errors.getvalue()

    return run_words


# The catalogue


def test_the_catalogue_has_all_messages_of_the_source_and_no_others():
    ids = {message.id for message in catalogues.read(catalogues.MESSAGES) if message.id}
    assert ids == {message.id for message in catalogues.messages() if message.id}
    assert len(ids) > 250


def test_what_gettext_reads_is_made_from_what_people_write():
    assert catalogues.MESSAGES.with_suffix(".mo").read_bytes() == catalogues.compiled(catalogues.MESSAGES)


def test_values_have_the_same_names_and_formats_in_both_languages():
    for message in catalogues.read(catalogues.MESSAGES):
        english, chinese = (
            {(name, form) for _, name, form, _ in string.Formatter().parse(text) if name}
            for text in (message.id, message.string)
        )
        assert english == chinese, message.id


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.stem)
def test_every_sentence_in_the_source_is_a_message(room):
    """A text of three words or more is a key, a docstring, or code that is compared with what others say."""
    source = room.read_text(encoding="utf-8")
    tree, known = ast.parse(source), set(catalogues.templates(source))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    others = {making.TASK, making.FIND_TASK, making.END}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    sentences = [text for text in texts if text not in docstrings | others and len(re.findall(r"[a-z]{2,}", text)) > 2]
    code = {fault.right for fault in making.FAULTS} | {fault.wrong for fault in making.FAULTS}
    code |= {"was expected to be a", r"This is fault (\d+) of lesson 13", "<the lesson's formula>"}
    said = [text for text in sentences if text not in known | code | set(examining.OF_TENSORS.values())]
    assert [text for text in said if not re.search(r"import |tf\.|_", text)] == []


@pytest.mark.parametrize(
    "source",
    ["say(f'{x} is wrong')", "def f(text):\n    return say(text)", "say('a' if x else 'b')", "say(TEXT)"],
)
def test_a_template_that_the_catalogue_cannot_have_is_an_error(source):
    with pytest.raises(ValueError, match="line"):
        catalogues.templates(source)


# Messages


def test_a_message_is_english_and_shows_chinese(speak):
    message = say("{name} is wrong.", name="dL_dz")
    speak(**CHINESE)
    assert (message, str(message), f"{message}") == ("dL_dz is wrong.", "dL_dz 错了。", "dL_dz 错了。")
    both = joined([message, say("Yours is the same as {name}.", name="p")], "{a} {b}")
    assert both.endswith("Yours is the same as p.")
    assert str(both) == "dL_dz 错了。你的与 p 相同。"
    assert str(GradientError(message)) == "dL_dz 错了。"
    speak(LC_ALL="C")
    assert str(both) == "dL_dz is wrong. Yours is the same as p."


@pytest.mark.parametrize(
    ("environment", "spoken"),
    [
        ({}, "en"),
        ({"LC_ALL": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en:zh_CN"}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN.UTF-8", "TF_BACKPROP_LANG": "en"}, "en"),
        ({"LC_ALL": "C", "TF_BACKPROP_LANG": "zh"}, "zh"),
    ],
)
def test_the_variable_goes_before_the_locale(environment, spoken, speak, monkeypatch):
    monkeypatch.setattr("locale.getlocale", lambda: (None, None))
    speak(**environment)
    assert language.language() == spoken


@pytest.mark.parametrize("name", ["zh_CN", "Chinese (Simplified)_China"])
def test_the_locale_of_a_system_without_variables(name, speak, monkeypatch):
    speak()
    monkeypatch.setattr("locale.getlocale", lambda: (name, "cp936"))
    assert language.language() == "zh"


@pytest.mark.parametrize("of_characters", [True, False], ids=["with wcwidth", "without"])
def test_a_table_is_aligned_where_a_character_is_as_wide_as_two(of_characters, monkeypatch):
    if of_characters:
        pytest.importorskip("wcwidth")  # tabulate uses it where it is installed
    else:
        monkeypatch.setattr("tabulate.wcwidth", None)
    rows = [["W", "正确"], ["dL_dW", None]]
    assert language.aligned(["梯度", "结论"], rows).splitlines() == ["梯度    结论", "W       正确", "dL_dW   -"]


# What a reader sees


def report():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=7)
    return check_gradients(
        lambda w, x, y: np.mean((x @ w - y) ** 2), lambda w, x, y: x.T @ (x @ w - y) * 2, rng.normal(size=3), x, y
    )


def test_a_report_is_chinese_under_a_chinese_locale_and_a_lesson_is_not(speak):
    speak(**CHINESE)
    found = report()
    assert found.rows[0].verdict == "7 times too large"  # what a program compares stays as it is
    assert str(found).splitlines() == [
        "梯度    形状    相对误差    结论",
        "dL_dA   (3,)    6.0e+00     大了，是正确值的 7 倍",
        "A：你的是正确值的 7 倍：漏了平均值的 1/n（批量有 7 行）。",
    ]
    with pytest.raises(GradientError) as raised:
        found.raise_if_wrong()
    assert str(raised.value).startswith("dL_dA：与损失不符\n梯度")
    assert command.run(lambda: str(report()), []).startswith("gradient")  # as a lesson does
    speak(LC_ALL="C", TF_BACKPROP_LANG="zh")
    assert command.run(lambda: str(report()), []).startswith("梯度")


@pytest.mark.parametrize(("words", "environment"), [(["--lang", "zh"], {"LC_ALL": "C"}), ([], CHINESE)])
def test_a_wrong_exercise_is_told_in_chinese_with_its_line(words, environment, run, speak, tmp_path):
    speak(**environment)
    status, out, errors = run("practice", "11", *words)
    path = tmp_path / "practice" / "11_mnist_softmax_hand_derived.py"
    where = path.relative_to(tmp_path)
    assert (status, out, errors) == (0, f"{where}：填好空着的行，然后运行它。\n", "")
    text = solved("11").replace("(p - onehot) / n", "p - onehot")
    path.write_text(text, encoding="utf-8")
    (at,) = (i for i, line in enumerate(text.splitlines(), 1) if "dL_dz = p - onehot" in line)
    status, out, errors = run("check", "11", "--hint", *words)
    assert (status, errors) == (1, "错误：还没有解决：练习 11：1 行有误\n")
    first, second, third, hint = out.splitlines()
    assert first == f"{where}，第 {at} 行：dL_dz 错了。你的是正确值的 7 倍：漏了平均值的 1/n（批量有 7 行）。"
    assert re.fullmatch(r"    第一个不同的数是 dL_dz\[0, 0\]：你的是 0\.0614056，应当是 0\.00877223。", second)
    assert third == f"本身正确，但用到的值有误：dL_dW（第 {at + 1} 行）、dL_db（第 {at + 2} 行）。"
    assert hint == "dL_dz 的提示：divided by n like L itself"  # the lesson's own comment
    status, out, _ = run("practice", *words)
    assert status == 0
    assert re.search(r"^11_mnist_softmax_hand_derived  softmax 和交叉熵，再来一次 +1 行有误$", out, re.MULTILINE)
    path.write_text(solved("11"), encoding="utf-8")
    status, out, errors = run("check", *words)
    assert (status, errors) == (0, "")
    assert out.startswith(f"{where}：已解决。每个梯度都与损失相符：\n梯度    形状")


def test_english_stays_where_it_is_asked_for(run, speak):
    speak(**CHINESE)
    assert run("practice", "--lang", "en")[1].startswith("exercise ")
    assert run("check", "77")[2].startswith("错误：没有第 77 课：")
    assert run("check", "77", "--lang", "en")[2].startswith("error: there is no lesson 77: ")


def test_a_language_that_there_is_not_is_one_line(run, speak):
    speak()
    for word in ("practice", "check"):
        assert run(word, "--lang", "xx") == (2, "", "error: --lang must be one of en, zh, not xx\n")
    speak(TF_BACKPROP_LANG="xx")
    assert run("check")[2] == "error: TF_BACKPROP_LANG must be one of en, zh, not xx\n"
    assert str(report()).startswith("gradient")
    with pytest.raises(UsageError):
        practice.check_functions("11", lang="fr")


def test_a_program_reads_the_same_words_in_each_language(run, speak, tmp_path):
    speak(**CHINESE)
    path = tmp_path / "11_mnist_softmax_hand_derived.py"
    path.write_text(solved("11").replace("(p - onehot) / n", "p - onehot"), encoding="utf-8")
    _, out, _ = run("check", str(path), "--json")
    assert '"state": "1 line is wrong"' in out
    assert '"verdict": "dL_dz is wrong. Yours is 7 times' in out
    assert "dL_dz 错了" in out  # the text is for a person


# No English is left


@pytest.mark.parametrize("mistake", mistakes.mistakes(), ids=lambda mistake: mistake.name)
def test_no_english_sentence_is_left_in_a_report(mistake, speak):
    found = check_gradients(mistake.loss, mistake.gradients, mistake.parameters, *mistake.batch)
    speak(**CHINESE)
    text = str(found)
    assert re.search(HAN, text)
    assert not ENGLISH.search(text), text


@pytest.mark.slow
@pytest.mark.parametrize("fault", HERE, ids=lambda fault: f"{fault[0][:2]} {fault[2]}")
def test_no_english_sentence_is_left_in_practice(fault, speak, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, _, _, right, wrong = fault
    lesson = lesson_of(name[:2])
    path = tmp_path / lesson.path.name
    path.write_text(solved(name[:2]).replace(right, wrong.replace("[4, 5]", "[6, 5]")), encoding="utf-8")
    outcome = examining.examine(lesson, path)
    speak(**CHINESE)
    for text in (str(outcome.text), str(outcome.state)):
        assert re.search(HAN, text)
        assert not ENGLISH.search(text), text
