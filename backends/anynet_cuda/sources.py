"""Loops for a GPU: their inputs, their outputs, and the operation for the element at index i.

The syntax is that of cupy.ElementwiseKernel. T is the dtype of the arrays. A raw array is indexed
by the operation, not element by element. (u, v) is a position in a window, and (y, x) one in the
output. Loops skip positions outside an image, so that no padded copy is needed. Indices have 32
bits. The constants in `WINDOW` are known when a loop is compiled, because divisions take much of
its time.

A loop declares its dtypes. A kernel leaves every other dtype to the reference, and ``ci/nvrtc.py``
compiles each loop in each dtype that it declares.
"""

from collections.abc import Mapping
from typing import NamedTuple

from anynet.primitives.threefry import PARITY, ROTATIONS

#: Dtypes, by NumPy's letters.
_WIDE, _ALL_REAL, _INTEGERS = "fd", "efd", "bBhHiIlLqQ"


class Source(NamedTuple):
    """The source of a loop, and the dtypes of each of its type parameters."""

    inputs: str
    outputs: str
    operation: str
    dtypes: Mapping[str, str] = {"T": _WIDE}


_SIZES = "int32 height, int32 width, int32 out_height, int32 out_width, int32 top, int32 left"
_FEATURES = "int32 pixels, int32 features"

#: The integers that loops over windows take as constants.
WINDOW = (
    "kernel_height",
    "kernel_width",
    "stride_y",
    "stride_x",
    "dilation_y",
    "dilation_x",
)

SOURCES = {
    "adam_update": Source(
        "T parameter, T gradient, T mean, T square, T rate, T correction, T beta1, T beta2, T eps, "
        "T weight_decay",
        "T out, T new_mean, T new_square",
        "T penalized = gradient + weight_decay * parameter; "
        "new_mean = beta1 * mean + (T(1) - beta1) * penalized; "
        "new_square = beta2 * square + (T(1) - beta2) * penalized * penalized; "
        "out = parameter - rate * (new_mean / (sqrt(new_square) * correction + eps))",
    ),
    "adamw_update": Source(
        "T parameter, T gradient, T mean, T square, T rate, T correction, T decay, T beta1, T "
        "beta2, T eps",
        "T out, T new_mean, T new_square",
        "new_mean = beta1 * mean + (T(1) - beta1) * gradient; "
        "new_square = beta2 * square + (T(1) - beta2) * gradient * gradient; "
        "out = decay * parameter - rate * (new_mean / (sqrt(new_square) * correction + eps))",
    ),
    # Images are (N, features, pixels). of_weight sums the products of g with the standardized
    # images, and of_bias sums g.
    "batch_norm_gradient": Source(
        "T g, T x, raw T weight, raw T mean, raw T variance, raw T of_weight, raw T of_bias, "
        f"{_FEATURES}, T epsilon, T share",
        "T out",
        """
        int f = (int) i / pixels % features;
        T inverse = T(1) / sqrt(variance[f] + epsilon), y = (x - mean[f]) * inverse;
        out = weight[f] * inverse * (g - share * (of_bias[f] + y * of_weight[f]))
        """,
    ),
    # Every element reads its row, which costs less than a launch for short rows.
    "cross_entropy": Source(
        "T logit, raw T logits, L label, int32 classes, T share",
        "T difference, T surprise",
        """
        long long start = (long long) (i / classes) * classes;
        T largest = logits[start], sum = 0;
        long long row_label = label;
        bool wanted = row_label == i % classes, none = row_label < 0 || row_label >= classes;
        for (int c = 1; c < classes; ++c) {
            T seen = logits[start + c];
            largest = seen > largest ? seen : largest;
        }
        for (int c = 0; c < classes; ++c) sum += exp(logits[start + c] - largest);
        T nan = T(0) / T(0);
        difference = none ? nan : exp(logit - largest) / sum - T(wanted);
        surprise = none ? nan : wanted ? (log(sum) - (logit - largest)) * share : T(0)
        """,
        {"T": _WIDE, "L": _INTEGERS},
    ),
    "erf": Source("T x", "T out", "out = erf(x)"),
    # Columns are (channels, kernel height, kernel width, images, out height, out width).
    "fold": Source(
        f"raw T columns, int32 images, int32 channels, {_SIZES}",
        "T out",
        """
        int k = i, x = k % width + left, y = k / width % height + top;
        int c = k / width / height % channels, n = k / width / height / channels;
        T sum = 0;
        for (int u = 0; u < kernel_height; ++u) {
            int row = y - u * dilation_y;
            if (row < 0 || row % stride_y || row / stride_y >= out_height) continue;
            for (int v = 0; v < kernel_width; ++v) {
                int column = x - v * dilation_x;
                if (column < 0 || column % stride_x || column / stride_x >= out_width) continue;
                int place = ((c * kernel_height + u) * kernel_width + v) * images + n;
                int window = (place * out_height + row / stride_y) * out_width + column / stride_x;
                sum += columns[window];
            }
        }
        out = sum
        """,
    ),
    "max_pool2d": Source(
        f"raw T images, {_SIZES}",
        "T out",
        """
        int k = i;
        int x = k % out_width * stride_x - left, y = k / out_width % out_height * stride_y - top;
        int start = k / out_width / out_height * height * width;
        T largest = -T(1) / T(0);
        for (int row = y; row < y + kernel_height; ++row) {
            for (int column = x; column < x + kernel_width; ++column) {
                if (row < 0 || row >= height || column < 0 || column >= width) continue;
                T seen = images[start + row * width + column];
                largest = seen > largest || seen != seen ? seen : largest;
            }
        }
        out = largest
        """,
    ),
    "momentum_update": Source(
        "T parameter, T gradient, T velocity, T learning_rate, T gain, T momentum, T nesterov, T "
        "weight_decay",
        "T out, T new_velocity",
        "T penalized = gradient + weight_decay * parameter; "
        "new_velocity = momentum * velocity + gain * penalized; out = parameter - learning_rate * "
        "(nesterov > 0 ? penalized + momentum * new_velocity : new_velocity)",
    ),
    "normalize": Source(
        f"T x, raw T weight, raw T bias, raw T mean, raw T variance, {_FEATURES}, T epsilon",
        "T out",
        """
        int f = (int) i / pixels % features;
        out = (x - mean[f]) / sqrt(variance[f] + epsilon) * weight[f] + bias[f]
        """,
    ),
    "relu": Source(
        "T x",
        "T out",
        "out = x > 0 ? x : (x == x ? T(0) : x)",
        {"T": _ALL_REAL},
    ),
    "relu_gradient": Source("T g, T y", "T out", "out = y > 0 ? g : T(0)", {"T": _ALL_REAL}),
    # Adds g, (before, count, after), to zeros, (before, length, after). An index out of range adds
    # nothing.
    "scatter_add": Source(
        "T g, L index, int32 count, int32 after, int32 length",
        "raw T out",
        """
        int k = i;
        long long place = index, before = k / after / count;
        if (place < 0) place += length;
        long long target = (before * length + place) * after + k % after;
        if (place >= 0 && place < length) atomicAdd(&out[target], g)
        """,
        {"T": _WIDE, "L": _INTEGERS},
    ),
    "sgd_update": Source(
        "T parameter, T gradient, T learning_rate, T weight_decay",
        "T out",
        "out = parameter - learning_rate * (gradient + weight_decay * parameter)",
    ),
    "square_around": Source(
        f"T x, raw T mean, {_FEATURES}",
        "T out",
        "T difference = x - mean[(int) i / pixels % features]; out = difference * difference",
    ),
    # An element reads the windows that contain it, and sums g of those whose first largest element
    # it is.
    "max_pool2d_gradient": Source(
        f"raw T g, raw T images, raw T largest, {_SIZES}",
        "T out",
        """
        int k = i, x = k % width, y = k / width % height, image = k / width / height;
        int start = image * height * width;
        T sum = 0;
        for (int u = 0; u < kernel_height; ++u) {
            int row = y + top - u;
            if (row < 0 || row % stride_y || row / stride_y >= out_height) continue;
            for (int v = 0; v < kernel_width; ++v) {
                int column = x + left - v;
                if (column < 0 || column % stride_x || column / stride_x >= out_width) continue;
                int window = (image * out_height + row / stride_y) * out_width + column / stride_x;
                T wanted = largest[window];
                bool first = images[k] == wanted;
                for (int before = 0; first && before < u * kernel_width + v; ++before) {
                    int r = row - top + before / kernel_width;
                    int s = column - left + before % kernel_width;
                    if (r < 0 || r >= height || s < 0 || s >= width) continue;
                    first = images[start + r * width + s] != wanted;
                }
                if (first) sum += g[window];
            }
        }
        out = sum
        """,
    ),
    "times_standardized": Source(
        f"T g, T x, raw T mean, raw T variance, {_FEATURES}, T epsilon",
        "T out",
        "int f = (int) i / pixels % features; out = g * (x - mean[f]) / sqrt(variance[f] + "
        "epsilon)",
    ),
    "threefry": Source(
        "T k0, T k1, T x0, T x1",
        "T out0, T out1",
        """
        const int rotations[8] = {ROTATIONS};
        unsigned keys[3] = {(unsigned) k0, (unsigned) k1, (unsigned) k0 ^ (unsigned) k1 ^ PARITY};
        unsigned a = x0 + keys[0], b = x1 + keys[1];
        for (int round = 0; round < 20; ++round) {
            int rotation = rotations[round % 8], group = round / 4;
            a += b;
            b = (b << rotation | b >> (32 - rotation)) ^ a;
            if (round % 4 < 3) continue;
            a += keys[(group + 1) % 3];
            b += keys[(group + 2) % 3] + group + 1;
        }
        out0 = a;
        out1 = b
        """.replace(
            "ROTATIONS",
            ", ".join(str(n) for turns in ROTATIONS for n in turns),
        ).replace("PARITY", f"{PARITY}u"),
        {"T": "i"},
    ),
    # Each thread writes the elements of one window of one channel.
    "unfold": Source(
        f"raw T images, int32 number, int32 channels, {_SIZES}",
        "raw T columns",
        """
        int k = i, x = k % out_width, y = k / out_width % out_height;
        int n = k / out_width / out_height % number, c = k / out_width / out_height / number;
        int start = (n * channels + c) * height, apart = number * out_height * out_width;
        int place = c * kernel_height * kernel_width * apart + k - c * apart;
        for (int u = 0; u < kernel_height; ++u) {
            int row = y * stride_y - top + u * dilation_y;
            for (int v = 0; v < kernel_width; ++v, place += apart) {
                int column = x * stride_x - left + v * dilation_x;
                bool inside = row >= 0 && row < height && column >= 0 && column < width;
                columns[place] = inside ? images[(start + row) * width + column] : T(0);
            }
        }
        """,
    ),
}

#: The loops that PyTorch compiles.
TORCH_SOURCES = {
    "adam_update": SOURCES["adam_update"],
    "adamw_update": SOURCES["adamw_update"],
    # Inputs are the logarithms of a softmax, the labels, and the indices of the classes.
    "cross_entropy": Source(
        "T logarithm, T label, T number, T classes, T share",
        "T difference, T surprise",
        """
        bool wanted = label == number, none = label < 0 || label >= classes;
        T nan = T(0) / T(0);
        difference = none ? nan : exp(logarithm) - T(wanted);
        surprise = none ? nan : wanted ? -logarithm * share : T(0)
        """,
    ),
    "threefry": SOURCES["threefry"],
}


def template(name: str) -> str:
    """Return a loop of PyTorch's as a C++ template over its dtype, for one element."""
    inputs, outputs, operation, _ = TORCH_SOURCES[name]
    arguments = [f"T {declared.split()[1]}" for declared in inputs.split(", ")]
    results = [f"T& {declared.split()[1]}" for declared in outputs.split(", ")]
    signature = f"anynet_{name}({', '.join(arguments + results)})"
    return f"template <typename T> void {signature} {{ {operation}; }}"
