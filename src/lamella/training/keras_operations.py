"""The names of Keras's operation classes, by the module that they are in: what a saved graph refers to.

A class and the function of `keras.ops` that it computes have the same letters: `ExpandDims` is `expand_dims`.
"""

_CLASSES = {
    "numpy": """
        Abs Absolute Add All AllClose Amax Amin Angle Any Append Arange Array Arccos Arccosh Arcsin Arcsinh Arctan
        Arctan2 Arctanh Argmax Argmin Argpartition Argsort ArraySplit Average Bincount BitwiseAnd
        BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo Cbrt
        Ceil Clip ColumnStack Concatenate Conj Conjugate Copy Corrcoef Correlate Cos Cosh CountNonzero Cross Cumprod
        Cumsum Deg2rad Diag Diagflat Diagonal Diff Digitize Divide DivideNoNan Dot Dsplit Dstack Einsum
        EmptyLike Equal Exp Exp2 ExpandDims Expm1 Fabs Flip Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod
        Full FullLike Gcd Geomspace GetItem Greater GreaterEqual Heaviside Histogram Hsplit Hstack Hypot I0
        Imag Inner IsIn Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal Kron Lcm Ldexp LeftShift Less
        LessEqual Linspace Log Log10 Log1p Log2 Logaddexp Logaddexp2 LogicalAnd LogicalNot LogicalOr
        LogicalXor Logspace Matmul Max Maximum Mean Median Meshgrid Min Minimum Mod Moveaxis Multiply
        NanToNum Nanargmax Nanargmin Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile
        Nanprod Nanquantile Nanstd Nansum Nanvar Ndim Negative Nextafter Nonzero NotEqual OnesLike Outer Pad
        Percentile Power Prod Ptp Quantile Rad2deg Ravel Real Reciprocal Repeat Reshape RightShift Roll
        Rot90 Round SearchSorted Select Sign Signbit Sin Sinc Sinh Size Slogdet Sort Split Sqrt Square
        Squeeze Stack Std Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh Tensordot Tile Trace Transpose
        Trapezoid Tril Triu TrueDivide Trunc Unique UnravelIndex Vander Var Vdot View Vsplit Vstack Where
        ZerosLike
    """,
    "nn": """
        AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm BinaryCrossentropy CTCDecode CTCLoss
        CategoricalCrossentropy Celu Conv ConvTranspose DepthToSpace DepthwiseConv DotProductAttention Elu
        Fold Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax
        MaxPool Moments MultiHot Normalize OneHot PSNR Polar RMSNorm Relu Relu6 Selu SeparableConv Sigmoid
        Silu SoftShrink Softmax Softplus Softsign SpaceToDepth SparseCategoricalCrossentropy SparsePlus
        SparseSigmoid Sparsemax Squareplus TanhShrink Threshold Unfold
    """,
    "math": """
        CDist Erf Erfc Erfinv ExtractSequences FFT FFT2 Gammainc IFFT2 IRFFT ISTFT InTopK Logdet Logsumexp RFFT Rsqrt
        STFT SegmentMax SegmentMin SegmentProd SegmentSum TopK ViewAsComplex ViewAsReal
    """,
    "linalg": """
        Cholesky CholeskyInverse Det Eig Eigh Inv Lstsq LuFactor MatrixPower MatrixRank Norm Pinv Qr SVD Solve
        SolveTriangular
    """,
    "image": """
        AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur HSVToRGB MapCoordinates
        PadImages PerspectiveTransform RGBToGrayscale RGBToHSV ReconstructPatches Resize SSIM ScaleAndTranslate
        SobelEdges
    """,
    "einops": "Rearrange",
    "core": """
        Cast ConvertToTensor SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient Unstack
    """,
}

FUNCTIONS = {"BatchNorm": "batch_normalization", "RMSNorm": "rms_normalization", "LayerNorm": "layer_normalization"}
"""Where the letters differ."""

_CALLED_WITH = frozenset(
    """
        a abs_ angle array b beta bias condition constant_values coordinates data depthwise_kernel end_points
        false_fn fill_value gamma image1 image2 images indices inputs kernel key mask mean offset operands output
        output_length patches pointwise_kernel predictions query scale segment_ids sequence_lengths sorted_sequence
        start start_indices start_points step stop target target_length targets transform translation updates
        value values variance weights x x1 x2 xs y choicelist condlist default
    """.split()
)
_MADE_WITH = frozenset(
    [("Histogram", "bins"), ("Trapezoid", "x"), ("Diagonal", "offset"), ("Trace", "offset"), ("Squareplus", "b")]
    + [("Bincount", "weights")]
    + [(name, "fill_value") for name in ("Unique", "Resize", "AffineTransform", "MapCoordinates")]
    + [(name, "fill_value") for name in ("PerspectiveTransform", "ElasticTransform")]
)
_ALSO_CALLED_WITH = frozenset(
    [("Digitize", "bins"), ("GetItem", "key"), ("Isclose", "atol"), ("Isclose", "rtol"), ("StopGradient", "variable")]
    + [(name, "q") for name in ("Nanpercentile", "Nanquantile", "Percentile", "Quantile")]
    + [("Rearrange", "tensor"), ("Rearrange", "pattern"), ("ScaleAndTranslate", "output_shape")]
)
CALLED_WITH_ALL = frozenset(["BatchNorm", "LayerNorm", "RMSNorm"])
"""Classes whose arguments of a call may not be left out, where their functions' may."""

MODULES = {name: f"keras.src.ops.{module}" for module, names in _CLASSES.items() for name in names.split()}
"""From the name of a class to its module."""

_BY_LETTERS = {name.lower(): name for name in MODULES}


def class_of(function: str) -> str | None:
    """The class that computes a function of `keras.ops`, if there is one.

    Example:
        >>> class_of("log_softmax")
        'LogSoftmax'
    """
    known = {function_name: name for name, function_name in FUNCTIONS.items()}
    return known.get(function) or _BY_LETTERS.get(function.replace("_", ""))


def is_call_argument(name: str, argument: str) -> bool:
    """Whether a class is called with an argument of that name, rather than made with it."""
    if (name, argument) in _MADE_WITH:
        return False
    return argument in _CALLED_WITH or (name, argument) in _ALSO_CALLED_WITH
