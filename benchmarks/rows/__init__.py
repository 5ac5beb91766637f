"""One module a row of the table. Each has:

- ``TITLE``, ``BATCH``, ``STEPS`` (in one timed chunk), ``OPTIMIZER`` (a key of ``torch_bench.OPTIMIZERS``);
- ``data(samples)``: inputs and labels as numpy arrays, images as (samples, height, width, channels);
- ``keras_model(keras)``: the compiled model, written once for Lamella and for every engine of Keras, which
  come in as the argument;
- ``tutorial(torch)``: the model as PyTorch tutorials write it, for images (batch, channels, height, width);
- ``best(torch)``: the model as fast as it can be written by hand; takes the arrays of ``data`` as they are.
"""

NAMES = ("mlp", "cnn", "vgg", "resnet", "unet", "yolo", "lstm", "gpt", "char_gpt")
