"""Loops for a GPU: arguments in, arguments out, and what is done for the element number i.

The words are those of cupy.ElementwiseKernel: T is the dtype of the arrays, and what is raw is read by number, not
element by element. A window's place in the kernel is (u, v), an output's in the image of outputs (y, x); what lies
outside an image is skipped, so that no padded copy is made. Places are counted with 32 bits, and what `WINDOW` names is
known when a loop is compiled, for divisions are much of its work.
"""

from anynet.primitives.threefry import PARITY, ROTATIONS

_SIZES = "int32 height, int32 width, int32 out_height, int32 out_width, int32 top, int32 left"
_FEATURES = "int32 pixels, int32 features"

#: Whole numbers that loops over windows take as constants.
WINDOW = ("kernel_height", "kernel_width", "stride_y", "stride_x", "dilation_y", "dilation_x")

SOURCES = {
    "adam_update": (
        "T parameter, T gradient, T mean, T square, T rate, T correction, T decay, T beta1, T beta2, T epsilon",
        "T out, T new_mean, T new_square",
        "new_mean = beta1 * mean + (T(1) - beta1) * gradient; "
        "new_square = beta2 * square + (T(1) - beta2) * gradient * gradient; "
        "out = decay * parameter - rate * (new_mean / (sqrt(new_square) * correction + epsilon))",
    ),
    # Of images (N, features, pixels), and sums of the products of g with what was standardized, and of g.
    "batch_norm_gradient": (
        "T g, T x, raw T weight, raw T mean, raw T variance, raw T of_weight, raw T of_bias, "
        f"{_FEATURES}, T epsilon, T share",
        "T out",
        """
        int f = (int) i / pixels % features;
        T inverse = T(1) / sqrt(variance[f] + epsilon), y = (x - mean[f]) * inverse;
        out = weight[f] * inverse * (g - share * (of_bias[f] + y * of_weight[f]))
        """,
    ),
    # Every element looks through its row, which costs less than a launch as long as rows are short.
    "cross_entropy": (
        "T logit, raw T logits, L label, int32 classes, T share",
        "T difference, T surprise",
        """
        long long start = (long long) (i / classes) * classes;
        T largest = logits[start], sum = 0;
        bool wanted = label == i % classes, none = label < 0 || label >= classes;
        for (int c = 1; c < classes; ++c) largest = logits[start + c] > largest ? logits[start + c] : largest;
        for (int c = 0; c < classes; ++c) sum += exp(logits[start + c] - largest);
        T nan = T(0) / T(0);
        difference = none ? nan : exp(logit - largest) / sum - T(wanted);
        surprise = none ? nan : wanted ? (log(sum) - (logit - largest)) * share : T(0)
        """,
    ),
    "erf": ("T x", "T out", "out = erf(x)"),
    # Columns are (channels, kernel height, kernel width, images, out height, out width).
    "fold": (
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
                sum += columns[(place * out_height + row / stride_y) * out_width + column / stride_x];
            }
        }
        out = sum
        """,
    ),
    "max_pool2d": (
        f"raw T images, {_SIZES}",
        "T out",
        """
        int k = i, x = k % out_width * stride_x - left, y = k / out_width % out_height * stride_y - top;
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
    "momentum_update": (
        "T parameter, T gradient, T velocity, T learning_rate, T momentum, T nesterov",
        "T out, T new_velocity",
        "new_velocity = momentum * velocity + gradient; "
        "out = parameter - learning_rate * (nesterov > 0 ? gradient + momentum * new_velocity : new_velocity)",
    ),
    "normalize": (
        f"T x, raw T weight, raw T bias, raw T mean, raw T variance, {_FEATURES}, T epsilon",
        "T out",
        """
        int f = (int) i / pixels % features;
        out = (x - mean[f]) / sqrt(variance[f] + epsilon) * weight[f] + bias[f]
        """,
    ),
    "relu": ("T x", "T out", "out = x > 0 ? x : (x == x ? T(0) : x)"),
    "relu_gradient": ("T g, T y", "T out", "out = y > 0 ? g : T(0)"),
    "sgd_update": ("T parameter, T gradient, T learning_rate", "T out", "out = parameter - learning_rate * gradient"),
    "square_around": (
        f"T x, raw T mean, {_FEATURES}",
        "T out",
        "T difference = x - mean[(int) i / pixels % features]; out = difference * difference",
    ),
    # An element looks through the windows that it is in, and takes from those of which it is the first largest.
    "spread_to_largest": (
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
                    int r = row - top + before / kernel_width, s = column - left + before % kernel_width;
                    if (r < 0 || r >= height || s < 0 || s >= width) continue;
                    first = images[start + r * width + s] != wanted;
                }
                if (first) sum += g[window];
            }
        }
        out = sum
        """,
    ),
    "times_standardized": (
        f"T g, T x, raw T mean, raw T variance, {_FEATURES}, T epsilon",
        "T out",
        "int f = (int) i / pixels % features; out = g * (x - mean[f]) / sqrt(variance[f] + epsilon)",
    ),
    "threefry": (
        "int32 k0, int32 k1, int32 x0, int32 x1",
        "int32 out0, int32 out1",
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
        """.replace("ROTATIONS", ", ".join(str(n) for turns in ROTATIONS for n in turns)).replace(
            "PARITY", f"{PARITY}u"
        ),
    ),
    # Each looks through one window of one channel, and writes all that it sees.
    "unfold": (
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
