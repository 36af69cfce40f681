"""Questions to a reader of each lesson, with their answers; each number in an answer comes from the lesson itself."""

from typing import NamedTuple

BEFORE = "Answer each question before you open its answer."


class Question(NamedTuple):
    """A question, its answer, and how the lesson computes each number that the answer gives away."""

    question: str
    answer: str
    numbers: dict[str, str]  # the number as the answer has it: an expression of the lesson's own names


# Expressions that several lessons share: one image of ink everywhere, a start at zero, a batch with one label.
NOTHING = "{'W': tf.zeros([784, 10]), 'b': tf.zeros([10])}"
FIRST_LOSS = f"loss({NOTHING}, tf.ones([5, 784]), [0, 1, 2, 3, 3])"

QUESTIONS = {
    "01": [
        Question(
            "What happens to A in the same 100 steps if the learning rate is a tenth, 0.002?",
            "A is still on its way, at 3.61. The gradient is the same, but each step goes a tenth as far.",
            {"3.61": "main(learning_rate=0.002).trajectory[-1]"},
        ),
        Question(
            "With the data of another seed, is the best A above 10 or below?",
            "Below, as a rule. It is 9.83 with seed 0 and 9.92 with seed 2, because a large x misses by more than a "
            "small one and therefore counts for more.",
            {"9.83": "main(seed=0).optimum", "9.92": "main(seed=2).optimum"},
        ),
        Question(
            "A is 2, and a sample has x = 1. With which learning rate does one step make its loss zero?",
            "With 0.5. The gradient is 2 (2 - 10) · 1 = -16, and half of that leads from 2 to 10.",
            {
                "-16": "gradients_by_hand(2.0, 1.0, 10.0)",
                "0.5": "(2 - 10) / gradients_by_hand(2.0, 1.0, 10.0)",
                "10": "2 - 0.5 * gradients_by_hand(2.0, 1.0, 10.0)",
            },
        ),
    ],
    "02": [
        Question(
            "At the start A is about 10. How large is dL/dA there, for all samples together?",
            "About 0.5. Every p is nearly 1, so that p - y is 1 for class 0 and 0 for class 1, and half of the "
            "samples are of each class.",
            {"0.5": "gradients_by_hand(tf.constant(10.0), *datasets.two_classes(np.random.default_rng(0)))"},
        ),
        Question(
            "A sample has z = 0. What does it ask of A if its label is 1, and what if its label is 0?",
            "There p is one half. So dL/dz is -0.5 for label 1, which asks for a larger A, and 0.5 for label 0, "
            "which asks for a smaller one.",
            {"-0.5": "gradients_by_hand(0.0, 0.0, 1.0)", "0.5": "gradients_by_hand(0.0, 0.0, 0.0)"},
        ),
        Question(
            "Can dL/dA be larger than 1?",
            "No. Each p - y lies between -1 and 1. Even a sample of class 0 with z = 100 gives 1, however large its "
            "loss is.",
            {"1": "gradients_by_hand(100.0, 0.0, 0.0)"},
        ),
    ],
    "03": [
        Question(
            "Ten sigmoids stand one behind another. What share of a derivative comes through all of them, at most?",
            "At most 9.5e-07, which is a quarter to the tenth power. This is why early networks with many layers of "
            "sigmoids hardly learned.",
            {"9.5e-07": "main().by_hand['sigmoid'].max() ** 10"},
        ),
        Question(
            "What happens to the panel of leaky ReLU with ``--leak 0``?",
            "It becomes the panel of ReLU: the largest difference between their derivatives is 0.",
            {"0": "(lambda a: abs(a['leaky ReLU'] - a['ReLU']).max())(main(leak=0.0).by_hand)"},
        ),
        Question(
            "How many times steeper than the sigmoid is tanh at z = 0, and why?",
            "It is 4 times as steep. tanh(z) is 2 σ(2z) - 1: one 2 comes from the factor, and the other from the "
            "inside.",
            {"4": "main().by_hand['tanh'].max() / main().by_hand['sigmoid'].max()"},
        ),
    ],
    "04": [
        Question(
            "What happens to the derivatives of y2 if w1 is 4 instead of 2?",
            "dy2/dx = w2 w1 is twice as large, 8. dy2/dw2 = y1 grows from 3 to 5. The others do not contain w1.",
            {
                "8": "main(w1=4.0).derivatives['dy2_dx']",
                "3": "main().derivatives['dy2_dw2']",
                "5": "main(w1=4.0).derivatives['dy2_dw2']",
            },
        ),
        Question(
            "b1 is 101 instead of 1. Which derivatives of y2 change?",
            "Only dy2/dw2, which is y1 and becomes 103. A sum passes back 1, whatever is added.",
            {"103": "main(b1=101.0).derivatives['dy2_dw2']"},
        ),
        Question(
            "x is -1. Does y2 rise or fall when w1 grows?",
            "It falls: dy2/dw1 = w2 x is -2.",
            {"-2": "main(x=-1.0).derivatives['dy2_dw1']"},
        ),
    ],
    "05": [
        Question(
            "A descent starts at (0, 0). In which direction does it set out?",
            "To the right and up, because df/dx is -14 and df/dy is -22, and a step goes against the gradient.",
            {
                "-14": "gradients_by_hand({'points': tf.zeros([1, 2])})['points'][0, 0]",
                "-22": "gradients_by_hand({'points': tf.zeros([1, 2])})['points'][0, 1]",
            },
        ),
        Question(
            "A descent starts at (3, 2), where f is 0. How far does it go?",
            "It goes nowhere. There u = v = 0, so both derivatives are 0.",
            {"0": "abs(gradients_by_hand({'points': tf.constant([[3.0, 2.0]])})['points'].numpy()).max()"},
        ),
        Question(
            "Why does the run from (20, 20) diverge?",
            "df/dx is 33546 there. With the learning rate 0.01 the first step moves x by -335, to a place that is "
            "far steeper still.",
            {
                "33546": "gradients_by_hand({'points': tf.constant([[20.0, 20.0]])})['points'][0, 0]",
                "-335": "-0.01 * gradients_by_hand({'points': tf.constant([[20.0, 20.0]])})['points'][0, 0]",
            },
        ),
    ],
    "06": [
        Question(
            "The asymmetric loss has under = 3. An output is 1 too low, and another is 10 too low. How do they "
            "compare?",
            "Their losses are 3 and 30. Their gradients are the same, -3 each, because the cost is a straight line.",
            {
                "3": "asymmetric(np.zeros(1), np.ones(1), 3.0)",
                "30": "asymmetric(np.zeros(1), np.full(1, 10.0), 3.0)",
                "-3": "asymmetric(np.ones(1), np.full(1, 10.0), 3.0) - asymmetric(np.zeros(1), np.full(1, 10.0), 3.0)",
            },
        ),
        Question(
            "A sample of class 0 has the logits (0, 20). About how large is its cross-entropy?",
            "It is 20. The softmax is so sure that -log p is nearly the distance between the two logits.",
            {"20": "miss(tf.constant([20.0]), log_p_from_logits)[0, 0]"},
        ),
        Question(
            "And how hard does the cross-entropy pull at the wrong logit of that sample: 20 times as hard as at s = 1?",
            "No. The derivative is p - t, which is 0.73 at s = 1 and 1 at s = 20: it never gets larger than 1.",
            {
                "0.73": "miss(tf.constant([1.0]), log_p_from_logits)[1, 0]",
                "1": "miss(tf.constant([20.0]), log_p_from_logits)[1, 0]",
            },
        ),
    ],
    "07": [
        Question(
            "w1 and w2 both start at zero. What is learned?",
            "Nothing. h is zero, so dL/dw2 is 0, and w2 is zero, so dL/dw1 is 0 too: no weight ever moves.",
            {
                "0": "max(abs(g.numpy()).max() for g in gradients_by_hand("
                "{'w1': tf.zeros([2, 3]), 'w2': tf.zeros([3, 1])}, tf.ones([8, 2]), tf.ones([8, 1])).values())"
            },
        ),
        Question(
            "Every row of a batch is written twice. What happens to the gradient?",
            "It stays the same: new by old is 1. Twice as many rows are added, and the mean divides by twice as much.",
            {
                "1": "(lambda p, x, y: gradients_by_hand(p, np.tile(x, (2, 1)), np.tile(y, (2, 1)))['w1'][0, 0]"
                " / gradients_by_hand(p, x, y)['w1'][0, 0])(initial_parameters(1), np.eye(2, dtype='f'),"
                " np.float32([[1], [0]]))"
            },
        ),
        Question(
            "A weight's first gradient is 5, and another's is 0.05. How far does Adam move each in the first update?",
            "Both by 0.001, the learning rate. At the first update Adam divides the gradient by its own size, so "
            "that only the sign is left.",
            {
                "0.001": "-adam(0.0, 0.0, 0.0, tf.constant(5.0), 1.0, 0.001, 0.9)[0]",
            },
        ),
    ],
    "08": [
        Question(
            "W and b start at zero. What is the loss of the first batch, whatever is on its images?",
            "It is 2.3, the logarithm of 10: each of the ten digits gets the probability 1/10.",
            {"2.3": FIRST_LOSS},
        ),
        Question(
            "A corner pixel is 0 on every image. How do its ten weights change in training?",
            "Not at all. dL/dW is xᵀ dL/dz, and the row of this pixel is a sum of zeros: 0.",
            {"0": f"abs(gradients_by_hand({NOTHING}, tf.zeros([2, 784]), [3, 5])['W'].numpy()).max()"},
        ),
        Question(
            "What is the sum of the ten numbers of dL/db?",
            "It is 0, because for every image the ten p add up to 1, as does the one-hot label. What one digit "
            "gains, others lose.",
            {"0": f"tf.reduce_sum(gradients_by_hand({NOTHING}, tf.ones([2, 784]), [3, 5])['b'])"},
        ),
    ],
    "09": [
        Question(
            "How many updates has an epoch of 55,000 images with batches of 1,000 images?",
            "It has 55, a tenth of the updates with batches of 100. That is why the cost per epoch then falls more "
            "slowly.",
            {"55": "len(shuffled_batches(55000, 1000, np.random.default_rng(0)))"},
        ),
        Question(
            "Batches have 128 images. How many of the 55,000 images does an epoch leave out?",
            "It leaves out 88, those that do not fill a batch. They are others in each epoch, because the order is "
            "new.",
            {"88": "55000 - shuffled_batches(55000, 128, np.random.default_rng(0)).size"},
        ),
        Question(
            "What is the cost before the first update, whatever the data are?",
            "It is 2.3, the logarithm of 10, because a network of zeros gives each digit the same probability.",
            {"2.3": FIRST_LOSS},
        ),
    ],
    "10": [
        Question(
            "All weights are zero, and a batch has one image, of a 3. What is dL/db for the 3, and what for the "
            "others?",
            "For the 3 it is -0.9, and for each other digit 0.1. A step against it raises the 3 and lowers the others.",
            {
                "-0.9": f"gradients_by_tape({NOTHING}, tf.ones([1, 784]), [3])['b'][3]",
                "0.1": f"gradients_by_tape({NOTHING}, tf.ones([1, 784]), [3])['b'][0]",
            },
        ),
        Question(
            "A batch has the same image twice. How does its gradient differ from that of the image alone?",
            "It is the same: new by old is 1, because the loss is a mean.",
            {
                "1": f"gradients_by_tape({NOTHING}, tf.ones([2, 784]), [3, 3])['b'][3]"
                f" / gradients_by_tape({NOTHING}, tf.ones([1, 784]), [3])['b'][3]"
            },
        ),
        Question(
            "How many numbers does the tape return for one step on MNIST?",
            "It returns 7840 for W and 10 for b, one for each parameter, and it needs one way back for all of them.",
            {
                "7840": f"tf.size(gradients_by_tape({NOTHING}, tf.ones([1, 784]), [3])['W'])",
                "10": f"tf.size(gradients_by_tape({NOTHING}, tf.ones([1, 784]), [3])['b'])",
            },
        ),
    ],
    "11": [
        Question(
            "The document's formula lacks the 1/n. How many times too large is its dL/dW for a batch of 50 images?",
            "It is 50 times too large. The direction is right, so that a learning rate of a fiftieth would hide the "
            "mistake.",
            {
                "50": "(lambda *batch: gradients_of_document(*batch)['W'][0, 3]"
                f" / gradients_by_hand(*batch)['W'][0, 3])({NOTHING}, tf.ones([50, 784]), [3] * 50)"
            },
        ),
        Question(
            "The network gives an image's own label the probability 1. What does this image add to dL/dW?",
            "Nothing: p - onehot(y) is 0 for it. Only images that are not yet right, or not yet sure, move the "
            "weights.",
            {
                "0": "abs(gradients_by_hand({'W': tf.zeros([784, 10]), 'b': 200.0 * tf.one_hot(3, 10)},"
                " tf.ones([1, 784]), [3])['W'].numpy()).max()"
            },
        ),
        Question(
            "One image of a 3 and the start at zero: which entries of dL/dW are negative?",
            "Those of digit 3 at the pixels with ink. With full ink they are -0.9, and the other nine columns have "
            "0.1.",
            {
                "-0.9": f"gradients_by_hand({NOTHING}, tf.ones([1, 784]), [3])['W'][0, 3]",
                "0.1": f"gradients_by_hand({NOTHING}, tf.ones([1, 784]), [3])['W'][0, 0]",
            },
        ),
    ],
    "12": [
        Question(
            "The error passes the slope σ' three times on its way from z_4 to z_1. What do these slopes leave of it, "
            "at most?",
            "They leave 0.0156 of it, which is a quarter to the third power. So W1 learns late, and the boundary "
            "stays straight for long.",
            {"0.0156": "sigmoid_slope(0.5) ** 3"},
        ),
        Question(
            "And with tanh in the hidden layers?",
            "Then the slopes may leave all of it, a share of 1, because the slope of tanh is 1 where a is 0.",
            {"1": "tanh_slope(0.0) ** 3"},
        ),
        Question(
            "How many numbers are trained?",
            "There are 2702, and 2500 of them are in W2 and W3.",
            {
                "2702": "sum(tf.size(p).numpy() for p in initial_parameters(np.random.default_rng(0)).values())",
                "2500": "(lambda p: tf.size(p['W2']) + tf.size(p['W3']))(initial_parameters(np.random.default_rng(0)))",
            },
        ),
    ],
    "13": [
        Question(
            "With ``summed``, how many times too large is dL/db2 for 7 rows, and what learning rate would hide it?",
            "It is 7 times too large, and a seventh of the learning rate would hide it: the direction is right.",
            {
                "7": "(lambda *batch: gradients_by_hand(*batch, dz2=summed)['b2'][0]"
                " / gradients_by_hand(*batch)['b2'][0])"
                "(make_parameters(np.random.default_rng(0), 4, 10), np.ones((7, 4), 'f'), [1] * 7)"
            },
        ),
        Question(
            "With ``relu-ge``, how wrong is dL/dW2?",
            "Not at all: the difference is 0. The ReLU lies between W2 and W1 on the way back, so that the error is "
            "still right when it reaches W2.",
            {
                "0": "(lambda *batch: abs(gradients_by_hand(*batch, open_units=relu_ge)['W2']"
                " - gradients_by_hand(*batch)['W2']).numpy().max())"
                "(make_parameters(np.random.default_rng(0), 4, 10), np.ones((7, 4), 'f'), [1] * 7)"
            },
        ),
        Question(
            "With ``double-softmax``, how low can the loss become when the network is right and sure?",
            "Not below 1.46. The second softmax gets probabilities, 1 for the label and 0 for the others, and makes "
            "e / (e + 9) of the label's.",
            {"1.46": "double_softmax(tf.constant([[1000.0] + [0.0] * 9]), [0])"},
        ),
    ],
    "14": [
        Question(
            "A batch has 128 images, and there are 4 workers. How many images does each of them take?",
            "Each takes 32. All of them take the same number, so that the mean of their means is the mean of the "
            "batch.",
            {"32": "(lambda part: part.stop - part.start)(equal_share(128, 0, 4))"},
        ),
        Question(
            "With ``--mistake sum`` and 2 workers, how many times is a step too long?",
            "It is 2 times too long. Each worker's gradient is already about that of the whole batch.",
            {
                "2": "(lambda p, x: sum(loss_and_gradients(p, x, [y, y])[1]['b'][0] for y in (1, 2))"
                " / loss_and_gradients(p, tf.concat([x, x], 0), [1, 1, 2, 2])[1]['b'][0])"
                "({'W': tf.Variable(tf.zeros([4, 10])), 'b': tf.Variable(tf.zeros([10]))}, tf.ones([2, 4]))"
            },
        ),
        Question(
            "With ``--mistake uneven`` one image of 128 changes over to the first of two workers. By how much does "
            "an image of the second worker then count for more?",
            "It counts 1.03 times as much. Slices of 65 and 63 images have the same say, and so the images do not.",
            {
                "65": "(lambda part: part.stop - part.start)(uneven_share(128, 0, 2))",
                "63": "(lambda part: part.stop - part.start)(uneven_share(128, 1, 2))",
                "1.03": "(lambda a, b: (a.stop - a.start) / (b.stop - b.start))"
                "(uneven_share(128, 0, 2), uneven_share(128, 1, 2))",
            },
        ),
    ],
}
