"""Examples for every kernel: lists of (positional arguments, keyword arguments) of NumPy arrays."""

import numpy as np

IMAGES = {
    "stride": (1, 1),
    "padding": ((0, 0), (0, 0)),
    "dilation": (1, 1),
    "groups": 1,
}
UNEVEN = {
    "stride": (1, 1),
    "padding": ((1, 0), (2, 1)),
    "dilation": (1, 1),
    "groups": 2,
}
#: Padding as wide as a kernel of 2 × 2.
WIDE = {
    "stride": (1, 1),
    "padding": ((2, 2), (2, 1)),
    "dilation": (1, 1),
    "groups": 1,
}
STRIDED = {
    "stride": (2, 1),
    "padding": ((1, 1), (0, 0)),
    "dilation": (1, 2),
    "groups": 1,
}
PAIRS = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}
OVERLAPPING = {
    "kernel": (3, 2),
    "stride": (2, 1),
    "padding": ((1, 1), (0, 0)),
}


def cases(dtype):
    """Return the examples of each kernel by its name, with real values in a dtype."""
    generator = np.random.default_rng(0)

    def f(*shape):
        return generator.normal(size=shape).astype(dtype)

    def positive(*shape):
        return generator.uniform(0.1, 1, size=shape).astype(dtype)

    def integers(*shape, below=4):
        return generator.integers(0, below, shape)

    x, large = f(4, 6), f(300, 260)
    words = generator.integers(-(2**31), 2**31, (3, 10_000)).astype("int32")
    booleans = generator.random((2, 3, 6)) < 0.5
    booleans[..., 0] = True
    images, wide = f(3, 4, 7, 8), f(2, 1, 9, 9)
    variance = positive(1, 6)
    updates = [(positive(3, 2), positive(300, 260)) for _ in range(4)]

    def of_parameters(count):
        return [array for own in zip(*updates[:count], strict=True) for array in own]

    pairs = [
        ((f(4, 6), f(4, 6)), {}),
        ((f(4, 1), f(6)), {}),
        ((f(), f()), {}),
    ]
    whole = [((integers(4, 6), integers(4, 6)), {})]
    compared = pairs + whole
    one = [
        ((x,), {}),
        ((large,), {}),
        ((f(2, 3, 4),), {}),
        ((large.T,), {}),
    ]
    adam = {"betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False}
    momentum = {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.1}
    rmsprop = {"alpha": 0.9, "eps": 1e-8, "momentum": 0.0, "centered": False}
    with_number = [*pairs, ((f(4, 6), 0.5), {})]
    return {
        **dict.fromkeys(
            ("atan2", "copysign", "hypot", "logaddexp", "nextafter", "remainder"), pairs
        ),
        **dict.fromkeys(("floor_divide", "maximum", "minimum"), pairs),
        **dict.fromkeys(
            ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal"), compared
        ),
        **dict.fromkeys(("add", "divide", "multiply", "subtract"), with_number),
        "pow": [((positive(4, 6), positive(4, 6)), {}), ((positive(4, 6), 0.5), {})],
        **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), whole),
        **dict.fromkeys(
            ("elu", "erf", "gelu", "leaky_relu", "mish", "relu", "selu", "sigmoid", "softplus"), one
        ),
        **dict.fromkeys(("sign", "softmax", "log_softmax"), one),
        "relu_gradient": [((f(4, 6), positive(4, 6) - 0.5), {}), ((f(300, 260), large), {})],
        "matmul": [
            ((f(4, 6), f(6, 3)), {}),
            ((f(2, 4, 6), f(6, 3)), {}),
            ((f(2000, 50), f(50, 3)), {}),
            ((f(6), f(6)), {}),
            ((f(4, 6), f(2, 6, 3)), {}),
            ((f(2, 1, 4, 6), f(3, 6, 3)), {}),
        ],
        "clip": [((x, -0.5, 0.5), {}), ((x, f(6), None), {}), ((large, None, 0.5), {})],
        "linalg.matrix_power": [((f(3, 3), 5), {}), ((f(2, 3, 3), 1), {})],
        "tensordot": [
            ((f(4, 6), f(6, 3)), {"axes": 1}),
            ((f(2, 4, 6), f(4, 3, 2)), {"axes": ((0, 1), (2, 0))}),
        ],
        "vecdot": [((f(4, 6), f(4, 6)), {}), ((f(4, 6), f(3, 4, 6)), {"axis": -2})],
        "matrix_transpose": [((x,), {}), ((f(2, 3, 4),), {})],
        "affine": [((f(4, 6), f(6, 3), f(3)), {}), ((f(2000, 50), f(50, 3), f(3)), {})],
        "adam_update": [
            ((0.1, 1.5, *of_parameters(4)), {**adam, "weight_decay": weight_decay})
            for weight_decay in (0.0, 0.1)
        ],
        "adamw_update": [((0.1, 1.5, decay, *of_parameters(4)), adam) for decay in (1.0, 0.99)],
        "adagrad_update": [
            ((0.1, *of_parameters(3)), {"weight_decay": weight_decay, "eps": 1e-10})
            for weight_decay in (0.0, 0.1)
        ],
        "rmsprop_update": [
            ((0.1, *of_parameters(3)), {**rmsprop, "weight_decay": weight_decay})
            for weight_decay in (0.0, 0.1)
        ],
        "momentum_update": [
            ((0.5, 1.0, *of_parameters(3)), {**momentum, "nesterov": nesterov})
            for nesterov in (False, True)
        ],
        "sgd_update": [
            ((0.5, *of_parameters(2)), {"weight_decay": weight_decay})
            for weight_decay in (0.0, 0.1)
        ],
        "softmax_cross_entropy": [
            ((x, labels.astype(kind)), {})
            for labels in (integers(4, below=6),)
            for kind in ("uint8", "int16", "int32", "int64")
        ],
        "masked_softmax": [((f(2, 3, 6), booleans), {}), ((f(2, 2, 3, 6), booleans[0]), {})],
        "threefry": [
            ((words[0, :2], words[1], words[2]), {}),
            ((words[0, :2], words[1, :1], words[2, :1]), {}),
        ],
        "standardize": [
            ((x, (1,), 1e-5), {}),
            ((images, (0, 2, 3), 1e-5), {}),
            ((f(2, 3, 5), (1, 2), 1e-5), {}),
        ],
        "standardize_gradient": [((f(4, 6), x, variance, (0,), 1e-5), {})],
        "batch_norm": [((images, f(4), f(4), 1e-5), {}), ((x, f(6), f(6), 1e-5), {})],
        "batch_norm_gradient": [((f(3, 4, 7, 8), images, f(4), f(4), positive(4), 1e-5), {})],
        "conv2d": [
            ((images, f(5, 4, 3, 3), f(5)), IMAGES),
            ((images, f(6, 2, 2, 3), None), UNEVEN),
            ((images, f(9, 4, 3, 2), f(9)), STRIDED),
            ((wide, f(8, 1, 5, 5), f(8)), IMAGES),
        ],
        "conv2d_weight_gradient": [
            ((f(3, 5, 5, 6), images, (3, 3)), IMAGES),
            ((f(3, 6, 7, 9), images, (2, 3)), UNEVEN),
        ],
        "conv2d_input_gradient": [
            ((f(3, 5, 5, 6), f(5, 4, 3, 3), (7, 8)), IMAGES),
            ((f(3, 6, 7, 9), f(6, 2, 2, 3), (7, 8)), UNEVEN),
            ((f(3, 5, 6, 6), f(5, 4, 2, 3), (7, 8)), IMAGES),
            ((f(3, 5, 10, 10), f(5, 4, 2, 2), (7, 8)), WIDE),
        ],
        "max_pool2d": [((images,), PAIRS), ((images,), OVERLAPPING)],
        "max_pool2d_with_residuals": [((images,), PAIRS), ((images,), OVERLAPPING)],
        "avg_pool2d": [((images,), PAIRS), ((images,), OVERLAPPING)],
        "max_pool2d_gradient": [
            ((f(3, 4, 3, 4), images), PAIRS),
            ((f(3, 4, 4, 7), images), OVERLAPPING),
        ],
        "index_add": [
            ((f(2, 5, 3), integers(5), 1, 4), {}),
            ((f(20, 5, 30), integers(5) - 2, 1, 4), {}),
        ],
        "scatter_add": [
            ((f(2, 5, 3), integers(2, 5, 3), 1, 4), {}),
            ((f(2, 5), integers(2, 5), -1, 4), {}),
        ],
        "sum": [((x,), {"axis": 0}), ((large,), {"axis": (0,)})],
        "sum_to": [((x, (6,)), {}), ((large, (260,)), {})],
        "getitem": [((x, (slice(None, None, -1), 2)), {}), ((x, (..., slice(1, 4))), {})],
        "place": [((f(4), (slice(None), 2), (4, 6)), {}), ((f(2, 6), slice(1, 3), (4, 6)), {})],
        "put": [((x, (slice(None), 2), f(4)), {})],
        "take": [((x, integers(3)), {"axis": 0}), ((x, integers(5)), {"axis": -1})],
        "take_along_axis": [
            ((x, integers(4, 3)), {"axis": 1}),
            ((x, integers(2, 6).astype("int32")), {"axis": 0}),
        ],
        "where": [((f(4, 6) > 0, f(4, 6), f(4, 6)), {})],
        "embedding": [((f(5, 3), integers(2, 3)), {})],
    }
