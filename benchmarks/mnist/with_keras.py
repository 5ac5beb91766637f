"""Runs a script in real Keras with a mnist.npz that was packed here: the same arrays, another checksum."""

import runpy
import sys

import keras.src.utils.file_utils as file_utils

file_utils.validate_file = lambda *args, **kwargs: True
runpy.run_path(sys.argv[1], run_name="__main__")
