"""The older form, in which the first layer names the shape: `lamella run examples/sequential_input_shape.py`."""

import numpy as np
from keras.layers import Activation, Dense
from keras.models import Sequential

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 50)
y = (x[:, 0] != x[:, 1]).astype(int)

model = Sequential()
model.add(Dense(10, input_shape=(2,)))
model.add(Activation("tanh"))
model.add(Dense(1, activation="sigmoid"))
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=150, batch_size=10, verbose=0)
print("exclusive or:", model.predict(x[:4], verbose=0).round(2).ravel())
