"""What TensorFlow gets for docs/stepper.rst: each number by its symbol, and the weights after k updates."""

import importlib.util

from tf_backprop.support import lessons

import numpy as np
import tensorflow as tf

DOCS = lessons.SCRIPTS.parent / "docs"
#: One step for each layer; unit by unit, one for each number on the way forward and each derivative on the way back.
STEPS = {("identity", False): 10, ("identity", True): 21, ("sigmoid", False): 12, ("sigmoid", True): 27}
MODES = ("identity", "sigmoid")
RATE = 0.05


def exporter():
    """Return docs/export_steps.py."""
    spec = importlib.util.spec_from_file_location("export_steps", DOCS / "export_steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Numbers:
    """The reader's numbers, and what TensorFlow computes from them."""

    def __init__(self, load, mode, seed=0):
        """Take the page's start, or numbers of one's own from `seed` 1 on."""
        self.lesson, self.exporter, self.mode = load("07_two_layer_network"), exporter(), mode
        data, start = self.lesson.datasets.volume_and_weight(), self.lesson.initial_parameters(1)
        arrays = {"x": data.x[:1], "y": data.y[:1], **{name: w.numpy() for name, w in start.items()}}
        arrays = {name: np.array(array, np.float64) for name, array in arrays.items()}
        if mode == "sigmoid":  # the same error as without
            _, y_hat = self.lesson.forward(arrays, arrays["x"])
            _, of_sigmoid = self.exporter.sigmoid_forward(arrays, arrays["x"])
            arrays["y"] = (arrays["y"] + of_sigmoid - y_hat).numpy()
        self.learning_rate = RATE
        if seed:
            rng = np.random.default_rng(seed)
            arrays = {name: rng.normal(size=array.shape).round(6) for name, array in arrays.items()}
            self.learning_rate = 0.25 if seed == 1 else 1e-4
        self.x, self.y = (arrays[name] for name in ("x", "y"))
        self.weights = {name: arrays[name] for name in ("w1", "w2")}

    def fields(self):
        """Return the numbers by the names of the page's fields."""
        found = {f"x-{i}": self.x[0, i] for i in range(2)} | {f"w2-{j}": self.weights["w2"][j, 0] for j in range(3)}
        found |= {f"w1-{i}-{j}": self.weights["w1"][i, j] for i in range(2) for j in range(3)}
        return {key: float(each) for key, each in found.items()} | {
            "y": float(self.y[0, 0]),
            "learning_rate": self.learning_rate,
        }

    def loss(self, weights=None):
        """Return the loss of the row, at these weights or at others."""
        function = self.exporter.sigmoid_loss if self.mode == "sigmoid" else self.lesson.loss
        return function(weights or self.weights, tf.constant(self.x), tf.constant(self.y))

    def train(self, updates):
        """Take updates; return the loss before the first and after each one."""
        losses = [float(self.loss())]
        for _ in range(updates):
            gradients = self.exporter.gradients_by_tape(
                lambda weights, *_: self.loss(weights), self.tensors(), self.x, self.y
            )
            self.weights = {name: w - self.learning_rate * gradients[name].numpy() for name, w in self.weights.items()}
            losses.append(float(self.loss()))
        return losses

    def tensors(self):
        """Return the weights as constants."""
        return {name: tf.constant(w) for name, w in self.weights.items()}

    def by_symbol(self):
        """Return every number of the page by its symbol: by the lesson's loss, and a tape."""
        x, y, (w1, w2) = tf.constant(self.x), tf.constant(self.y), self.tensors().values()
        sigmoid = self.mode == "sigmoid"
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([w1, w2])
            z = x @ w1
            h = tf.sigmoid(z) if sigmoid else z
            units = [h[0, j] for j in range(3)]
            y_hat = h @ w2
            L = tf.reduce_mean((y_hat - y) ** 2)
        np.testing.assert_allclose(L, self.loss(), rtol=1e-12)
        dL_dw1, dL_dw2 = tape.gradient(L, [w1, w2])
        new = {"w1": w1 - self.learning_rate * dL_dw1, "w2": w2 - self.learning_rate * dL_dw2}
        new_h = tf.sigmoid(x @ new["w1"]) if sigmoid else x @ new["w1"]
        arrays = {"x": x[0], "w1": w1, "w2": w2[:, 0], "h": h[0], "dL/dh": tape.gradient(L, h)[0]}
        arrays |= {"dL/dw1": dL_dw1, "dL/dw2": dL_dw2[:, 0], "new w1": new["w1"], "new w2": new["w2"][:, 0]}
        arrays |= {"dŷ/dh": tape.gradient(y_hat, h)[0], "dŷ/dw2": tape.gradient(y_hat, w2)[:, 0], "new h": new_h[0]}
        if sigmoid:
            arrays |= {"z": z[0], "dL/dz": tape.gradient(L, z)[0], "new z": (x @ new["w1"])[0]}
        values = {"y": y, "ŷ": y_hat, "L": L, "dL/dŷ": tape.gradient(L, y_hat)}
        values |= {"new ŷ": new_h @ new["w2"], "new L": self.loss(new)}
        values = {symbol: float(np.squeeze(each)) for symbol, each in values.items()} | {"rate": self.learning_rate}
        for symbol, array in arrays.items():
            for index, each in np.ndenumerate(np.asarray(array)):
                values[f"{symbol}[{','.join(map(str, index))}]"] = float(each)
        for j in range(3):
            for i in range(2):  # of sum over x[i] w1[i, j]
                values[f"d{'z' if sigmoid else 'h'}[{j}]/dw1[{i},{j}]"] = float(self.x[0, i])
            if sigmoid:
                values[f"dh[{j}]/dz[{j}]"] = float(tape.gradient(units[j], z)[0, j])
        return values
