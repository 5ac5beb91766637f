"""Argument sets for the ops of neural networks and of pictures."""

import numpy as np
from op_cases import F34, bools, case, floats, ints

PICTURES = floats(2, 7, 8, 3, low=0.0, high=1.0)
FIRST = PICTURES.transpose(0, 3, 1, 2).copy()
TARGETS = np.eye(4, dtype="float32")[[0, 2, 1]]
PROBABILITIES = floats(3, 4, low=0.1, high=0.9)
QUERY, KEY, VALUE = floats(2, 5, 4, 8), floats(2, 6, 4, 8), floats(2, 6, 4, 8)
CORNERS = np.array([[0, 0], [7, 0], [0, 6], [7, 6]], "float32")

CASES = [
    *[
        case("conv", x, floats(*window, 3, 4), strides=strides, padding=padding)
        for x, window in ((floats(2, 9, 3), (3,)), (PICTURES, (3, 2)), (floats(1, 5, 6, 4, 3), (2, 3, 2)))
        for strides, padding in ((1, "valid"), (2, "same"), (1, "same"))
    ],
    case("conv", PICTURES, floats(3, 3, 3, 4), dilation_rate=2, padding="same"),
    case("conv", FIRST, floats(3, 3, 3, 4), data_format="channels_first"),
    case("conv", floats(2, 7, 8, 6), floats(3, 3, 3, 4), padding="same"),
    case("depthwise_conv", PICTURES, floats(3, 3, 3, 2), strides=2, padding="same"),
    case("depthwise_conv", FIRST, floats(3, 3, 3, 1), data_format="channels_first"),
    case("separable_conv", PICTURES, floats(3, 3, 3, 2), floats(1, 1, 6, 5), padding="same"),
    *[
        case("conv_transpose", x, floats(*window, 4, 3), strides=s, padding=padding, output_padding=extra)
        for x, window in ((floats(2, 5, 3), (3,)), (floats(2, 4, 5, 3), (3, 2)))
        for s, padding, extra in ((1, "valid", None), (2, "same", None), (3, "valid", None), (3, "same", None))
    ],
    case("conv_transpose", floats(1, 4, 5, 3), floats(3, 3, 2, 3), strides=2, padding="same", output_padding=1),
    case("conv_transpose", floats(1, 4, 5, 3), floats(3, 3, 2, 3), strides=2, output_padding=1),
    case("conv_transpose", floats(1, 4, 5, 3), floats(3, 2, 2, 3), padding="same", dilation_rate=2),
    case("conv_transpose", floats(1, 3, 4, 5), floats(2, 2, 2, 3), strides=4, data_format="channels_first"),
    *[
        case(name, x, 2, **k)
        for name in ("max_pool", "average_pool")
        for x in (floats(2, 9, 3), PICTURES, floats(1, 4, 5, 6, 2))
        for k in ({}, {"strides": 1})
    ],
    case("max_pool", PICTURES, (3, 2), strides=2, padding="same"),
    case("max_pool", FIRST, 3, data_format="channels_first"),
    case("average_pool", FIRST, 3, strides=2, data_format="channels_first"),
    *[case(name, PICTURES, size) for name in ("adaptive_max_pool", "adaptive_average_pool") for size in (2, (3, 5))],
    case("adaptive_average_pool", floats(2, 3, 9), 4, data_format="channels_first"),
    case("one_hot", ints(3, low=0, high=4), 4),
    case("one_hot", ints(2, 3, low=-1, high=4), 4, axis=1, dtype="int32"),
    case("multi_hot", ints(2, 5, low=0, high=4), 6),
    case("multi_hot", ints(5, low=0, high=4), 6),
    case("categorical_crossentropy", TARGETS, PROBABILITIES),
    case("categorical_crossentropy", TARGETS, F34, from_logits=True),
    case("categorical_crossentropy", TARGETS, PROBABILITIES, axis=0),
    case("sparse_categorical_crossentropy", np.array([0, 2, 1]), PROBABILITIES),
    case("sparse_categorical_crossentropy", np.array([[0], [2], [1]]), F34, from_logits=True),
    case("sparse_categorical_crossentropy", ints(2, 7, 3, low=0, high=8), PICTURES, from_logits=True, axis=2),
    case("binary_crossentropy", TARGETS, PROBABILITIES),
    case("binary_crossentropy", TARGETS, F34, from_logits=True),
    case("moments", PICTURES, (0, 1, 2)),
    case("moments", F34, 1, keepdims=True),
    case("batch_normalization", F34, floats(4), floats(4, low=0.1), 1),
    case("batch_normalization", FIRST, floats(3), floats(3, low=0.1), 1, floats(3), floats(3), 1e-2),
    case("layer_normalization", F34),
    case("layer_normalization", F34, floats(4), floats(4), epsilon=1e-3),
    case("layer_normalization", PICTURES, floats(8, 3), floats(8, 3), axis=(2, 3)),
    case("rms_normalization", F34),
    case("rms_normalization", F34, floats(4), epsilon=1e-3),
    case("rms_normalization", PICTURES, axis=(2, 3)),
    case("normalize", F34),
    case("normalize", F34, axis=0, order=1),
    case("normalize", floats(2, 3, 4), axis=1, order=3),
    case("psnr", PICTURES, PICTURES[::-1].copy(), 1.0),
    case("dot_product_attention", QUERY, KEY, VALUE),
    case("dot_product_attention", QUERY, KEY, VALUE, scale=0.3, is_causal=True),
    case("dot_product_attention", QUERY, KEY, VALUE, bias=floats(2, 1, 5, 6)),
    case("dot_product_attention", QUERY, KEY, VALUE, mask=bools(2, 4, 5, 6)),
    case("dot_product_attention", QUERY, QUERY, QUERY, mask=bools(2, 1, 5, 5), is_causal=True),
    case("dot_product_attention", QUERY, KEY[:, :, :2].copy(), VALUE[:, :, :2].copy()),
    case("unfold", FIRST, 3),
    case("unfold", FIRST, (2, 3), dilation=2, padding=1, stride=2),
    case("fold", floats(2, 12, 12), (4, 5), 2),
    case("depth_to_space", floats(2, 3, 4, 12), 2),
    case("depth_to_space", floats(2, 12, 3, 4), 2, data_format="channels_first"),
    case("space_to_depth", floats(2, 4, 6, 3), 2),
    case("space_to_depth", floats(2, 3, 4, 6), 2, data_format="channels_first"),
    case("ctc_loss", ints(3, 4, low=1, high=5), floats(3, 9, 5), np.array([4, 2, 3]), np.array([9, 9, 8])),
    case("ctc_loss", ints(2, 3, low=0, high=4), floats(2, 9, 5), np.array([3, 2]), np.array([9, 7]), mask_index=4),
    case("ctc_decode", floats(3, 9, 5), np.array([9, 5, 7])),
    case("ctc_decode", floats(3, 9, 5), np.array([9, 5, 7]), merge_repeated=False, mask_index=4),
]

SCALE, SHIFT = np.array([0.7, 1.5], "float32"), np.array([0.5, -1.0], "float32")
# No sample falls on the edge between two pixels, where the last bit would choose one; the second is exact.
TRANSFORMS = np.array([[0.9, 0.21, 1.03, -0.13, 1.1, -0.47, 0.0, 0.0], [1, 0, 2, 0, 1, 1, 0, 0]], "float32")

IMAGE_CASES = [
    *[
        case("resize", PICTURES, (4, 11), interpolation=how, antialias=smooth)
        for how, smooth in (("bilinear", False), ("bilinear", True), ("nearest", False), ("bicubic", False))
    ],
    case("resize", PICTURES[0], (3, 3)),
    case("resize", FIRST, (5, 9), data_format="channels_first"),
    case("resize", PICTURES, (4, 4), crop_to_aspect_ratio=True),
    case("resize", PICTURES, (4, 4), pad_to_aspect_ratio=True, fill_value=0.5),
    case("rgb_to_grayscale", PICTURES),
    case("rgb_to_grayscale", FIRST, data_format="channels_first"),
    case("rgb_to_hsv", PICTURES),
    case("hsv_to_rgb", PICTURES),
    *[
        case("affine_transform", PICTURES, TRANSFORMS, interpolation=how, fill_mode=mode, fill_value=0.5)
        for how in ("bilinear", "nearest")
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
    ],
    case("affine_transform", PICTURES[0], TRANSFORMS[0]),
    case("perspective_transform", PICTURES, CORNERS, CORNERS + floats(4, 2)),
    case("gaussian_blur", PICTURES, data_format="channels_last"),
    case("gaussian_blur", PICTURES, (5, 5), (1.5, 0.7), data_format="channels_last"),
    case("extract_patches", PICTURES, 3),
    case("extract_patches", PICTURES, (3, 2), strides=(1, 2), padding="same"),
    case("extract_patches", PICTURES[0], 2, strides=1, dilation_rate=2),
    case("extract_patches", FIRST, (2, 2), data_format="channels_first"),
    case("extract_patches", floats(1, 4, 5, 6, 2), (2, 2, 3)),
    case("extract_patches_3d", floats(1, 4, 5, 6, 2), 2, strides=(1, 2, 2)),
    case("pad_images", PICTURES, 1, 2, 3, target_width=15),
    case(
        "pad_images",
        FIRST[0],
        top_padding=1,
        bottom_padding=1,
        left_padding=0,
        right_padding=2,
        data_format="channels_first",
    ),
    case("crop_images", PICTURES, 1, 2, target_height=4, target_width=5),
    case("crop_images", FIRST, 1, 2, 1, 2, data_format="channels_first"),
    *[
        case("map_coordinates", floats(4, 5), floats(2, 3, 3, low=-3, high=7), order, fill_mode=mode)
        for order in (0, 1)
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
    ],
    case("map_coordinates", ints(4, 5), floats(2, 6, low=0, high=4), 1, fill_value=3),
    case("sobel_edges", PICTURES, data_format="channels_last"),
    case("ssim", np.tile(PICTURES, (1, 2, 2, 1)), np.tile(PICTURES[::-1], (1, 2, 2, 1)).copy()),
    case("ssim", PICTURES[0], PICTURES[1], filter_size=5, max_val=2.0),
    *[
        case("scale_and_translate", floats(6, 7, 2), (4, 9, 2), SCALE, SHIFT, (0, 1), how, antialias=smooth)
        for how in ("linear", "bicubic", "lanczos3", "lanczos5")
        for smooth in (True, False)
    ],
]
