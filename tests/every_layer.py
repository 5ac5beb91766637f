"""Each layer of Keras with arguments and the shape of one sample (a list or tuple of shapes for several inputs)."""

import numpy as np

ROW, STEPS, PICTURE, VOLUME, FRAMES = (8,), (9, 5), (12, 12, 3), (6, 6, 6, 2), (4, 8, 8, 2)
LAYERS = {
    "Activation": ({"activation": "selu"}, ROW),
    "ActivityRegularization": ({"l1": 0.1}, ROW),
    "AdaptiveAveragePooling1D": ({"output_size": 3}, STEPS),
    "AdaptiveAveragePooling2D": ({"output_size": (3, 4)}, PICTURE),
    "AdaptiveAveragePooling3D": ({"output_size": 2}, VOLUME),
    "AdaptiveMaxPooling1D": ({"output_size": 3}, STEPS),
    "AdaptiveMaxPooling2D": ({"output_size": 3}, PICTURE),
    "AdaptiveMaxPooling3D": ({"output_size": 2}, VOLUME),
    "Add": ({}, [ROW, ROW]),
    "AdditiveAttention": ({}, [STEPS, STEPS]),
    "AlphaDropout": ({"rate": 0.5}, ROW),
    "Attention": ({"use_scale": True, "score_mode": "concat"}, [STEPS, STEPS]),
    "AugMix": ({}, PICTURE),
    "AutoContrast": ({"value_range": (-3.0, 3.0)}, PICTURE),
    "Average": ({}, [ROW, ROW]),
    "AveragePooling1D": ({"pool_size": 2}, STEPS),
    "AveragePooling2D": ({"pool_size": 2}, PICTURE),
    "AveragePooling3D": ({"pool_size": 2}, VOLUME),
    "BatchNormalization": ({"momentum": 0.7}, ROW),
    "Bidirectional": (lambda k: {"layer": k.layers.GRU(3), "merge_mode": "sum"}, STEPS),
    "CategoryEncoding": ({"num_tokens": 4, "output_mode": "count"}, ROW),
    "CenterCrop": ({"height": 6, "width": 8}, PICTURE),
    "Concatenate": ({"axis": 1}, [STEPS, STEPS]),
    "Conv1D": ({"filters": 3, "kernel_size": 2, "dilation_rate": 2}, STEPS),
    "Conv1DTranspose": ({"filters": 3, "kernel_size": 2, "strides": 2}, STEPS),
    "Conv2D": ({"filters": 6, "kernel_size": 3, "groups": 3}, PICTURE),
    "Conv2DTranspose": ({"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, PICTURE),
    "Conv3D": ({"filters": 3, "kernel_size": 2}, VOLUME),
    "Conv3DTranspose": ({"filters": 3, "kernel_size": 2}, VOLUME),
    "ConvLSTM1D": ({"filters": 2, "kernel_size": 2}, (4, 8, 2)),
    "ConvLSTM2D": ({"filters": 2, "kernel_size": 2, "return_sequences": True}, FRAMES),
    "ConvLSTM3D": ({"filters": 2, "kernel_size": 2}, (3, 4, 4, 4, 2)),
    "Cropping1D": ({"cropping": (1, 2)}, STEPS),
    "Cropping2D": ({"cropping": ((1, 2), (0, 1))}, PICTURE),
    "Cropping3D": ({"cropping": 1}, VOLUME),
    "Dense": ({"units": 3, "activation": "mish"}, ROW),
    "DepthwiseConv1D": ({"kernel_size": 2, "depth_multiplier": 2}, STEPS),
    "DepthwiseConv2D": ({"kernel_size": 2}, PICTURE),
    "Discretization": ({"bin_boundaries": [0.0, 1.0]}, ROW),
    "Dot": ({"axes": 2}, [STEPS, STEPS]),
    "Dropout": ({"rate": 0.5, "noise_shape": (None, 1, 5)}, STEPS),
    "ELU": ({"alpha": 0.5}, ROW),
    "EinsumDense": ({"equation": "abc,cd->abd", "output_shape": (None, 4), "bias_axes": "d"}, STEPS),
    "Embedding": ({"input_dim": 9, "output_dim": 3}, ROW),
    "Flatten": ({}, STEPS),
    "GRU": ({"units": 3, "reset_after": False}, STEPS),
    "GaussianDropout": ({"rate": 0.5}, ROW),
    "GaussianNoise": ({"stddev": 0.5}, ROW),
    "GlobalAveragePooling1D": ({}, STEPS),
    "GlobalAveragePooling2D": ({"keepdims": True}, PICTURE),
    "GlobalAveragePooling3D": ({}, VOLUME),
    "GlobalMaxPooling1D": ({}, STEPS),
    "GlobalMaxPooling2D": ({}, PICTURE),
    "GlobalMaxPooling3D": ({}, VOLUME),
    "GroupNormalization": ({"groups": 3}, PICTURE),
    "GroupQueryAttention": ({"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}, (STEPS, STEPS)),
    "Identity": ({}, ROW),
    "LSTM": ({"units": 3, "return_sequences": True, "unit_forget_bias": False}, STEPS),
    "LayerNormalization": ({"epsilon": 1e-5}, STEPS),
    "LeakyReLU": ({"negative_slope": 0.1}, ROW),
    "Masking": ({"mask_value": 0.0}, STEPS),
    "MaxPooling1D": ({"pool_size": 2, "padding": "same"}, STEPS),
    "MaxPooling2D": ({"pool_size": 3, "strides": 2, "padding": "same"}, PICTURE),
    "MaxPooling3D": ({"pool_size": 2}, VOLUME),
    "Maximum": ({}, [ROW, ROW]),
    "MelSpectrogram": ({"fft_length": 64, "sequence_stride": 32, "sampling_rate": 400, "num_mel_bins": 8}, (256,)),
    "Minimum": ({}, [ROW, ROW]),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3, "value_dim": 4, "use_bias": False}, (STEPS, STEPS)),
    "Multiply": ({}, [ROW, ROW]),
    "Normalization": ({"mean": 1.0, "variance": 4.0, "axis": None}, ROW),
    "PReLU": ({"shared_axes": [1, 2]}, PICTURE),
    "Permute": ({"dims": (2, 1)}, STEPS),
    "RMSNormalization": ({}, STEPS),
    "RNN": (lambda k: {"cell": [k.layers.SimpleRNNCell(3), k.layers.LSTMCell(2)]}, STEPS),
    "RandAugment": ({}, PICTURE),
    "RandomBrightness": ({"factor": 0.2}, PICTURE),
    "RandomColorDegeneration": ({"factor": 0.2}, PICTURE),
    "RandomColorJitter": ({"brightness_factor": 0.2}, PICTURE),
    "RandomContrast": ({"factor": 0.2}, PICTURE),
    "RandomCrop": ({"height": 12, "width": 12}, PICTURE),
    "RandomElasticTransform": ({}, PICTURE),
    "RandomErasing": ({}, PICTURE),
    "RandomFlip": ({"mode": "vertical"}, PICTURE),
    "RandomGaussianBlur": ({}, PICTURE),
    "RandomGrayscale": ({}, PICTURE),
    "RandomHue": ({"factor": 0.2}, PICTURE),
    "RandomInvert": ({}, PICTURE),
    "RandomPerspective": ({"factor": 0.2}, PICTURE),
    "RandomPosterization": ({"factor": 4}, PICTURE),
    "RandomRotation": ({"factor": (-0.1, 0.2), "fill_mode": "nearest"}, PICTURE),
    "RandomSaturation": ({"factor": 0.2}, PICTURE),
    "RandomSharpness": ({"factor": 0.2}, PICTURE),
    "RandomTranslation": ({"height_factor": 0.1, "width_factor": 0.2}, PICTURE),
    "RandomZoom": ({"height_factor": 0.2}, PICTURE),
    "ReLU": ({"max_value": 1.0, "threshold": 0.1}, ROW),
    "RepeatVector": ({"n": 3}, ROW),
    "Rescaling": ({"scale": 2.0, "offset": 1.0}, ROW),
    "Reshape": ({"target_shape": (-1, 3)}, STEPS),
    "Resizing": ({"height": 7, "width": 5, "interpolation": "nearest"}, PICTURE),
    "ReversibleEmbedding": ({"input_dim": 9, "output_dim": 3, "tie_weights": False}, ROW),
    "STFTSpectrogram": ({"frame_length": 64, "frame_step": 32, "fft_length": 64}, (256, 1)),
    "SeparableConv1D": ({"filters": 3, "kernel_size": 2}, STEPS),
    "SeparableConv2D": ({"filters": 3, "kernel_size": 2, "depth_multiplier": 2}, PICTURE),
    "SimpleRNN": ({"units": 3, "go_backwards": True}, STEPS),
    "Softmax": ({"axis": 1}, STEPS),
    "Solarization": ({}, PICTURE),
    "SpatialDropout1D": ({"rate": 0.5}, STEPS),
    "SpatialDropout2D": ({"rate": 0.5}, PICTURE),
    "SpatialDropout3D": ({"rate": 0.5}, VOLUME),
    "SpectralNormalization": (lambda k: {"layer": k.layers.Conv2D(3, 2), "power_iterations": 2}, PICTURE),
    "Subtract": ({}, [ROW, ROW]),
    "TimeDistributed": (lambda k: {"layer": k.layers.Conv2D(2, 2)}, FRAMES),
    "UnitNormalization": ({}, ROW),
    "UpSampling1D": ({"size": 3}, STEPS),
    "UpSampling2D": ({"size": (2, 3)}, PICTURE),
    "UpSampling3D": ({"size": 2}, VOLUME),
    "ZeroPadding1D": ({"padding": (1, 2)}, STEPS),
    "ZeroPadding2D": ({"padding": ((1, 2), (0, 1))}, PICTURE),
    "ZeroPadding3D": ({"padding": 1}, VOLUME),
}
WHOLE_NUMBERS = ("Embedding", "ReversibleEmbedding", "CategoryEncoding")
ELSEWHERE = {
    "Layer": "the base",
    "InputLayer": "in every model",
    "Wrapper": "the base of wrappers",
    "Lambda": "holds code: test_damaged_files",
    "GRUCell": "inside RNN: model_zoo",
    "LSTMCell": "inside RNN",
    "SimpleRNNCell": "inside RNN",
    "StackedRNNCells": "inside RNN",
    "TorchModuleWrapper": "holds any module: tests/layers/test_arguments_of_torch_modules",
    "FlaxLayer": "not here",
    "JaxLayer": "not here",
    "TFSMLayer": "not here",
    "TextVectorization": "needs TensorFlow in Keras: tests/preprocessing",
    "StringLookup": "needs TensorFlow in Keras: tests/preprocessing",
    "IntegerLookup": "needs TensorFlow in Keras: tests/preprocessing",
    "Hashing": "needs TensorFlow in Keras: tests/preprocessing",
    "HashedCrossing": "needs TensorFlow in Keras: tests/preprocessing",
    "MaxNumBoundingBoxes": "takes dicts of boxes: tests/image",
    "MixUp": "takes dicts of pictures and labels: tests/image",
    "CutMix": "takes dicts of pictures and labels: tests/image",
    "Pipeline": "of other layers: tests/preprocessing",
    "RandomShear": "Keras cannot read its own config of it: tests/image",
    "Equalization": "Keras cannot call it on symbolic tensors: tests/image",
    "ContrastLimitedAdaptiveHistogramEqualization": "Keras on torch computes it wrongly: tests/image",
}


def layer_of(name, k, **more):
    arguments = LAYERS[name][0]
    return getattr(k.layers, name)(**((arguments(k) if callable(arguments) else arguments) | more))


def takes_several(name):
    """Whether its inputs are arguments each, and not a list."""
    shapes = LAYERS[name][1]
    return isinstance(shapes, tuple) and not isinstance(shapes[0], int)


def model_of(name, k):
    layer, shapes = layer_of(name, k), LAYERS[name][1]
    dtype = "int32" if name in WHOLE_NUMBERS else "float32"
    if isinstance(shapes[0], int):
        inputs = k.Input(shapes, dtype=dtype)
        return k.Model(inputs, layer(inputs))
    inputs = [k.Input(shape, dtype=dtype) for shape in shapes]
    return k.Model(inputs, layer(*inputs) if takes_several(name) else layer(inputs))


def data_for(name):
    shapes = LAYERS[name][1]
    rng = np.random.default_rng(0)

    def one(shape):
        if name in WHOLE_NUMBERS:
            return rng.integers(0, 4, (3, *shape)).astype("int32")
        return rng.normal(size=(3, *shape)).astype("float32")

    return one(shapes) if isinstance(shapes[0], int) else [one(shape) for shape in shapes]
