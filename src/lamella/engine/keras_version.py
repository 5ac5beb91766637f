"""The version of Keras whose interface, numerics and files Lamella's are like."""

KERAS_VERSION = "3.15.1"
