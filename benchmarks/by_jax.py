"""The same training in JAX: a `lax.scan` over the steps, compiled by `jit`."""

from benchmarks import tasks
from benchmarks.timing import UnavailableError

try:
    import jax
    import jax.numpy as jnp
except ImportError:
    jax = None


def _require() -> None:
    if jax is None:
        raise UnavailableError("JAX is not installed")


def softmax(task: tasks.Softmax, epochs: int) -> float:
    """Train softmax regression; return the mean cost of the last epoch."""
    _require()
    x, y = jnp.asarray(task.images.x), jnp.asarray(task.images.y)

    def loss(parameters, x, y):
        log_p = jax.nn.log_softmax(x @ parameters["W"] + parameters["b"])
        return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))

    @jax.jit
    def run_epoch(parameters, x, y, batches):
        def step(parameters, batch):
            cost, gradients = jax.value_and_grad(loss)(parameters, x[batch], y[batch])
            return jax.tree.map(lambda w, g: w - task.learning_rate * g, parameters, gradients), cost

        parameters, costs = jax.lax.scan(step, parameters, batches)
        return parameters, costs.mean()

    parameters = {"W": jnp.zeros((task.pixels, tasks.CLASSES)), "b": jnp.zeros(tasks.CLASSES)}
    for batches in task.batches(epochs):
        parameters, cost = run_epoch(parameters, x, y, batches)
    return float(cost)


def moons(task: tasks.Moons, epochs: int) -> float:
    """Train lesson 12's network, one sample per step; return the mean squared error."""
    _require()

    def forward(parameters, a):
        for i in (1, 2, 3, 4):
            a = jax.nn.sigmoid(a @ parameters[f"W{i}"] + parameters[f"b{i}"])
        return a

    def loss(parameters, x, y):
        return ((forward(parameters, x) - y) ** 2).sum() / 2

    def step(parameters, sample):
        gradients = jax.grad(loss)(parameters, *sample)
        return jax.tree.map(lambda w, g: w - task.learning_rate * g, parameters, gradients), None

    @jax.jit
    def train(parameters, X, Y, epochs):
        return jax.lax.fori_loop(0, epochs, lambda _, p: jax.lax.scan(step, p, (X, Y))[0], parameters)

    parameters = train(task.parameters, task.X, task.Y, epochs)
    return float(((forward(parameters, task.X) - task.Y) ** 2).mean())
