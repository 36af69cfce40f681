"""What a lesson's notebook has beyond its script: equations typeset, a cell to try the gradient, the result by name."""

import re
from pathlib import Path

import equations
from sphinx_gallery import gen_rst, notebook

FIRST_CELL = """\
# Where tf_backprop is not installed, as in Colab, take the # off the last of these lines: it takes the
# package from its wheel, where that lies beside this notebook, and otherwise from the package index.
# %pip install --quiet --find-links . tf-backprop
%matplotlib inline
import sys
import tempfile

# Add options as on the command line, such as "--seed", "1". The notebook shows the figure and keeps no file of it.
sys.argv = ["notebook", "--figures", tempfile.mkdtemp()]"""

LAST_CELL = """\
# What the run returned has these parts. The comparison is the printed table; this is its last row.
print(*result._fields, sep=", ")
result.comparison[-1]"""

TRY = "Try it: change a number in this cell and run it again. The two gradients stay the same, up to rounding."

DRAW = "rng = np.random.default_rng(7)\n"
ONE_NUMBER = """
print("by hand:", gradients_by_hand(A, x, y).numpy())
print("by tape:", gradients_by_tape(A, x, y).numpy())"""
COMPARE = """
for name in hand:
    print(f"dL_d{name} by hand: {np.ravel(hand[name])[:4]}")
    print(f"dL_d{name} by tape: {np.ravel(tape[name])[:4]}")"""
IMAGES = f"""\
{DRAW}x = rng.uniform(0, 1, (7, 784))  # seven images of noise
y = np.array([0, 1, 2, 3, 4, 5, 5])  # their labels
parameters = {{"W": tf.constant(rng.normal(size=(784, 10)) / 28), "b": tf.zeros(10, tf.float64)}}
"""

#: A cell for each lesson, of the lesson's own functions: the gradient of seven samples by hand and by tape.
CELLS = {
    "01": f"""\
{DRAW}x = rng.normal(1, 0.1, 7)  # seven samples
y = np.full(7, 10.0)
A = tf.constant(2.0, tf.float64)
{ONE_NUMBER}""",
    "02": f"""\
x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0])  # seven samples
y = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
A = tf.constant(10.0, tf.float64)
{ONE_NUMBER}""",
    "03": f"""\
z = prepare(np.array([-3.0, -2.0, -1.0, -0.5, 1.0, 2.0, 3.0]))  # seven points; what happens at 0.0?
hand = gradients_by_hand(z, leak=0.1)
tape = gradients_by_tape(z, leak=0.1)
{COMPARE.replace("dL_d{name}", "da/dz of {name},")}""",
    "04": """\
for x in (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0):
    numbers = start(x=x, w1=2.0, b1=1.0, w2=2.0, b2=1.0)
    hand = derivatives_by_hand(**numbers)["dy2_dw2"]
    tape = derivatives_by_tape(**numbers)["dy2_dw2"]
    print(f"x = {x:g}: dy2_dw2 by hand: {hand:g}, by tape: {tape:g}")""",
    "05": f"""\
{DRAW}parameters = {{"points": tf.constant(rng.uniform(-5, 5, (7, 2)))}}  # seven points
hand = gradients_by_hand(parameters)
tape = gradients_by_tape(parameters)
{COMPARE}""",
    "06": f"""\
{DRAW}y, t = draw_targets(rng, 7)  # seven samples
parameters = draw_outputs(rng, y)
hand = gradients_by_hand(parameters, y, t, under=3.0)
tape = gradients_by_tape(parameters, y, t, under=3.0)
{COMPARE}""",
    "07": f"""\
{DRAW}x = np.float32(rng.uniform(0, 1, (7, 2)))  # seven points
y = np.float32(x.sum(axis=1, keepdims=True) < 1)
parameters = initial_parameters(seed=1)
hand = gradients_by_hand(parameters, x, y)
tape = gradients_by_tape(parameters, x, y)
{COMPARE}""",
    "08": f"""\
{IMAGES}hand = gradients_by_hand(parameters, x, y)
tape = gradients_by_tape(parameters, x, y)
{COMPARE}""",
    "09": f"""\
{IMAGES}p = tf.nn.softmax(logits(parameters, x))
dL_dz = (p - np.eye(10)[y]) / 7  # by hand, as in lesson 11
hand = {{"W": tf.transpose(x) @ dL_dz, "b": tf.reduce_sum(dL_dz, axis=0)}}
tape = gradients_by_tape(parameters, x, y)
{COMPARE}""",
    "12": f"""\
{DRAW}X = np.float32(rng.normal(size=(7, 2)))  # seven points
Y = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0, 1, 1]]
parameters = initial_parameters(rng)
hand = gradients_by_hand(parameters, X, Y)
tape = gradients_by_tape(parameters, X, Y)
{COMPARE}""",
    "13": f"""\
{DRAW}x = rng.uniform(0, 1, (7, 64))  # seven images of noise
y = np.array([0, 1, 2, 3, 4, 5, 5])  # their labels
parameters = make_parameters(rng, 64, 10, tf.float64)
hand = gradients_by_hand(parameters, x, y)  # with dz2=summed it is one of the mistakes
tape = gradients_by_tape(parameters, x, y)
{COMPARE}""",
    "14": f"""\
{DRAW}x = np.float32(rng.uniform(0, 1, (8, 64)))  # eight images of noise, so that two slices are equal
y = np.array([0, 1, 2, 3, 4, 5, 6, 7])  # their labels
parameters = {{"W": tf.Variable(tf.zeros([64, 10])), "b": tf.Variable(tf.zeros([10]))}}
_, whole = loss_and_gradients(parameters, x, y)
_, first = loss_and_gradients(parameters, x[:4], y[:4])
_, second = loss_and_gradients(parameters, x[4:], y[4:])
for name in whole:
    print(f"dL_d{{name}}, mean of two slices: {{np.ravel((first[name] + second[name]) / 2)[:4]}}")
    print(f"dL_d{{name}}, whole batch:        {{np.ravel(whole[name])[:4]}}")""",
}
CELLS["10"] = CELLS["09"]
CELLS["11"] = CELLS["08"]

EQUATIONS = re.compile(r"::\n\n((?: {4}.*\n|\n)+)")


def setup(app):
    gen_rst.save_notebook = save  # sphinx-gallery calls no one before it writes a notebook into its folder and zip
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def save(content, file):
    """Write a lesson's notebook, as sphinx-gallery would, when it has been completed."""
    complete(content, Path(file).name[:2])
    notebook.save_notebook(content, file)


def complete(content, number):
    """Add to the notebook of the lesson with this number what the script does not have."""
    cells = content["cells"]
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = EQUATIONS.sub(_typeset, "".join(cell["source"]))
            cell["source"] = [re.sub(r"::$", ":", text, flags=re.MULTILINE)]
    notebook.add_code_cell(content, LAST_CELL)
    headings = ["".join(cell["source"]).strip().split("\n")[0] for cell in cells]
    after = headings.index("## Backward") + 2
    notebook.add_markdown_cell(content, TRY)
    notebook.add_code_cell(content, CELLS[number])
    cells[after:after] = [cells.pop(-2), cells.pop(-1)]


def _typeset(match):
    try:
        return f":\n\n{equations.typeset(match[1])}\n\n"
    except equations.NoFormula:
        return match[0]
