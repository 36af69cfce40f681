"""The network of lesson 07 as a TensorFlow 1 program, through ``tf.compat.v1``, to read beside the lesson."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tf_backprop import datasets

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

data = datasets.volume_and_weight()

# The graph: nothing is computed yet. Placeholders stand for the data, the variables have no values.
x = tf.placeholder(tf.float32, shape=(None, 2))
y = tf.placeholder(tf.float32, shape=(None, 1))
w1 = tf.Variable(tf.random_normal([2, 3], stddev=1, seed=1))
w2 = tf.Variable(tf.random_normal([3, 1], stddev=1, seed=1))
loss = tf.reduce_mean(tf.square(tf.matmul(tf.matmul(x, w1), w2) - y))
train_step = tf.train.GradientDescentOptimizer(0.001).minimize(loss)

# The session: it gives the variables their values, and runs the nodes that it is asked for.
losses = []
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for step in range(3000):
        first = 8 * step % 32
        session.run(train_step, feed_dict={x: data.x[first : first + 8], y: data.y[first : first + 8]})
        losses.append(session.run(loss, feed_dict={x: data.x, y: data.y}))
    weights = np.concatenate([w.ravel() for w in session.run([w1, w2])])

for step in range(0, 3000, 500):
    print(f"{step} {losses[step]:g}")
print("weights", *weights)
