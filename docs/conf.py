"""Configures Sphinx, which makes the web gallery: ``make docs``. What Sphinx cannot do by itself is in extension.py."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # extension.py, which Sphinx and sphinx-gallery find by its name
sys.path.insert(0, str(HERE.parent))  # this copy of tf_backprop

os.environ["TF_BACKPROP_LANG"] = "en"  # whatever the locale: the Chinese pages are translated from the English ones

import extension
import notebooks

project = "tf-backprop"
author = copyright = "the tf-backprop authors"
language = "en"
highlight_language = "none"
rst_epilog = f".. |wheel| replace:: :download:`{extension.wheel_name()} </_build/wheel/{extension.wheel_name()}>`"
exclude_patterns = ["_build", "gallery/sg_execution_times.rst", "**/GALLERY_HEADER.rst"]
extensions = ["myst_parser", "sphinx_copybutton", "sphinx_gallery.gen_gallery"]
extensions += ["extension", "exercises", "home", "lesson_pages", "notebooks", "_ext_steps", "chinese"]

# The pages load nothing from other hosts, so MathJax is on the site; and they show no execution times.
html_math_renderer = "mathjax"  # there are two, and Sphinx would take the one without MathJax
mathjax_path = extension.MATHJAX_FILE
mathjax_options = {"defer": "defer"}

sphinx_gallery_conf = {
    "examples_dirs": "../scripts",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\d\d_\w+\.py$",
    "ignore_pattern": r"(^|/)(?!\d\d_)[^/]*\.py$",
    "backreferences_dir": "gallery/backreferences",
    "within_subsection_order": "FileNameSortKey",
    "reset_argv": "extension.lesson_arguments",
    "reset_modules": ("matplotlib", "extension.before_a_lesson"),
    "image_scrapers": ("extension.figures_with_alt_text",),
    "image_srcset": ["2x"],
    "capture_repr": (),
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1_000_000,
    "first_notebook_cell": notebooks.FIRST_CELL,
}

html_theme = "pydata_sphinx_theme"
html_title = "tf-backprop: back-propagation in TensorFlow 2"
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}  # light or dark, as in the reader's system
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["site.css", "lesson.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": project},
    "header_links_before_dropdown": 5,
    "navbar_persistent": ["search-button", "language"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": {"[!g]*": ["page-toc"]},  # not in gallery/, because the lessons' lines are long
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "show_prev_next": True,
}
html_sidebars = {"gallery/*": ["sidebar-nav-bs"], "[!g]*": [], "glossary": [], "genindex": []}

copybutton_selector = "div:not(.sphx-glr-script-out) > div.highlight > pre"
gettext_compact = False
locale_dirs = ["locale"]
