"""The README: its tables come from the lessons' results, its links work, and the tools that renew it start."""

import hashlib
import re
import subprocess
import sys
from collections import Counter

from tf_backprop.support import lessons
from tools import readme

import pytest

TEXT = readme.README.read_text(encoding="utf-8")
CHINESE = readme.README.with_name("README.zh-CN.md").read_text(encoding="utf-8")
RENEW = "run: python -m tools.readme"


def cells(table):
    """Return the cells without what pads them, which depends on whether Chinese characters count as two."""
    lines = re.sub("-{3,}", "---", table).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("name", readme.tables_of_files())
def test_a_table_is_what_its_files_say(name):
    assert cells(readme.written()[name]) == cells(readme.tables_of_files()[name]), RENEW


def test_the_time_to_read_counts_prose_and_the_acts(tmp_path):
    code, prose = "x = 1\n", "word "
    acts = "".join(f"\n# %%\n# {title}\n# ---\n# {15 * prose}\n{5 * code}" for title in "abcd")
    path = tmp_path / "01_x.py"
    path.write_text(f'"""{96 * prose}"""\n\nimport os\n{acts}\n# %%\n# Plot\n{99 * code}', encoding="utf-8")
    (lesson,) = lessons.find(tmp_path)
    words, lines = 96 + 4 * (1 + 15), 4 * 5
    assert readme.minutes_to_read(lesson) == words / readme.WORDS + lines / readme.LINES


def test_what_is_said_about_the_time_to_read_is_what_is_counted():
    minutes = sum(readme.minutes_to_read(lesson) for lesson in lessons.find())
    numbers = {1: "an hour", 2: "two hours", 3: "three hours"}
    home = " ".join((readme.README.parent / "docs" / "index.rst").read_text(encoding="utf-8").split())
    for text in (TEXT, home):
        assert f"All lessons take {numbers[round(minutes / 60)]} to read" in text
    assert f"count {readme.WORDS} words or {readme.LINES} lines of code per minute" in home


def test_the_first_screen_says_where_to_begin():
    first = TEXT.partition("```")[0]
    assert "**Begin with\nthe stepper**" in first
    assert "**and with lesson 01.**" in first


@pytest.mark.parametrize("page", readme.PAGES, ids=lambda page: page.stem)
def test_every_link_and_picture_exists(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert len(targets) > 12 or page != readme.README
    for target in targets:
        assert (page.parent / target).exists(), target


def without_rounding(text):
    """Return a report with its errors below 1e-8, which depend on the machine, as one word."""
    return re.sub(r"\b\d\.\de-(?:\d{3}|[1-9]\d|0[89])\b", "rounding", text).strip()


def test_the_example_of_the_check_prints_what_the_pages_show(capsys, monkeypatch):
    page = (readme.README.parent / "docs" / "check.md").read_text(encoding="utf-8")
    code, shown = re.search(r"```python\n(import numpy.*?)```\n\nIt prints\n\n```\n(.*?)```", page, re.DOTALL).groups()
    exec(compile(code, "docs/check.md", "exec"), {})
    assert without_rounding(capsys.readouterr().out) == without_rounding(shown)
    assert shown.count("e-1") == 3, "the three that are right are right to rounding"
    assert f"```\n{shown}```" in TEXT
    monkeypatch.setenv("TF_BACKPROP_LANG", "zh")
    exec(compile(code, "docs/check.md", "exec"), {})
    assert "“" + "".join(capsys.readouterr().out.splitlines()[-2:]) + "”" in CHINESE


def by_hand(text):
    """Return what a README says outside of the tables that tools/readme.py renews."""
    return re.sub(r"(?<=<!-- begin )(\w+) -->.*?(?=<!-- end \1)", "", text, flags=re.DOTALL)


def test_the_chinese_readme_follows_the_english_one():
    (followed,) = re.findall(r"<!-- follows README.md (\w+) -->", CHINESE)
    now = hashlib.sha256(by_hand(TEXT).encode()).hexdigest()[:12]
    if followed != now:
        todo = f'bring README.zh-CN.md up to date, then write "follows README.md {now}" at its head'
        pytest.fail(f"README.md has changed since {followed}: {todo}", pytrace=False)


def test_the_readmes_lead_to_each_other():
    assert TEXT.startswith("English | [简体中文](README.zh-CN.md)\n")
    assert CHINESE.startswith("[English](README.md) | 简体中文\n")


def test_the_chinese_readme_has_the_same_commands_output_links_and_numbers():
    def blocks(text):
        """Return the blocks of code, without the comments behind commands."""
        return [re.sub(r" *# .*", "", block) for block in re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)]

    assert blocks(CHINESE) == blocks(TEXT)
    assert set(re.findall(r"\]\(([^)]+)\)", CHINESE)) ^ set(re.findall(r"\]\(([^)]+)\)", TEXT)) == {
        "README.md",
        "README.zh-CN.md",
    }
    titles = re.findall(r'"([^"\n]*[\u3400-\u9fff][^"\n]*)"', TEXT)
    assert re.findall(r"《(.+?)》", CHINESE) == titles
    english, chinese = (
        Counter(re.findall(r"`[^`\n]+`|\d+", re.sub(r"```.*?```", "", by_hand(text), flags=re.DOTALL)))
        for text in (TEXT, CHINESE)
    )
    assert english - chinese == Counter()


def test_the_readme_is_short_and_has_every_lesson():
    assert len(TEXT.splitlines()) <= 130
    for lesson in lessons.find():
        assert f"(scripts/{lesson.name}.py)" in TEXT
        assert lesson.question in TEXT


def test_every_script_that_is_named_exists():
    for name in re.findall(r"scripts/\w+\.py", TEXT):
        assert (readme.README.parent / name).exists()


def test_every_lesson_has_its_committed_figure():
    for lesson in lessons.find():
        assert (readme.README.parent / "figures" / f"{lesson.name}.png").exists()


@pytest.mark.slow
def test_a_tool_starts_and_refuses_in_one_line():
    line = "error: --seeds must be a whole number from 1 to 10,000,000, not 0\n"
    command = [sys.executable, "-m", "tools.ledger", "--seeds", "0"]
    process = subprocess.run(command, cwd=readme.README.parent, capture_output=True, text=True, timeout=120)
    assert (process.returncode, process.stdout, process.stderr) == (2, "", line)


def test_make_demo_ends_with_the_line_to_type_next():
    command = ["make", "--dry-run", "--no-print-directory", "demo"]
    said = subprocess.run(command, cwd=readme.README.parent, capture_output=True, text=True, timeout=60).stdout
    assert said.splitlines()[-1].endswith(': .venv/bin/python scripts/01_regression.py --explain"')
