"""The main job: handwritten digits, offline, in a few seconds."""

import lamella as keras
from lamella import layers

keras.utils.set_random_seed(0)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()

model = keras.Sequential(
    [
        keras.Input((8, 8)),
        layers.Rescaling(1 / 16),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(10),
    ]
)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(x_train, y_train, epochs=30, validation_split=0.1, verbose=2)
loss, accuracy = model.evaluate(x_test, y_test, verbose=2)
print(f"test accuracy {accuracy:.3f}")
