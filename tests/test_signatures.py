"""Names, order and defaults of public functions. A changed default changes networks of users."""

import importlib
import inspect
from functools import partial

import pytest

from anynet.tracing.trace import Primitive

MODULES = (
    "data",
    "functions",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "optimizers.schedules",
    "random",
)

SIGNATURES = """
data.Dataset(train, test, classes=())
data.Loader(x, t, batch_size=100, *, weights=None, seed=0, shuffle=True, drop_last=False, augment=None)
data.compose(*augments)
data.cutmix(*, alpha=1.0, classes=None)
data.image_folder(path, backend=None, *, size=None, mode=None, flat=False, test_split=0.2, seed=0)
data.load_cifar10(backend=None, *, flat=True)
data.load_digits(backend=None, *, flat=True)
data.load_emnist(split='balanced', backend=None, *, flat=True)
data.load_fashion_mnist(backend=None, *, flat=True)
data.load_idx_pairs(folder, backend=None, *, name='', flat=True)
data.load_kmnist(backend=None, *, flat=True)
data.load_mnist(backend=None, *, flat=True)
data.mixup(*, alpha=0.2, classes=None)
data.moons(backend=None, *, points=100, noise=0.1, seed=0)
data.random_affine(*, shift=2.0, degrees=10.0, scale=0.1)
data.random_batch(key, size, x, t)
data.random_crop(size=None, *, padding=0)
data.random_erase(size, *, probability=1.0, value=0.0)
data.random_flip(horizontal=0.5, *, vertical=0.0)
data.random_resized_crop(size, *, scale=(0.08, 1.0), ratio=(0.75, 1.3333333333333333))
data.random_rotate(degrees=10.0)
data.random_scale(scale=0.1)
data.random_shift(most=2)
data.read_csv(path, backend=None, *, target, features=None, classes=None, delimiter=',', header=True, encoding='utf-8', test_split=0.2, seed=0)
data.read_idx(path, max_bytes=1073741824)
data.spiral(backend=None, *, points=100, classes=3, noise=0.2, seed=0)
data.write_idx(path, data)
functions.elu(x, alpha=1.0)
functions.erf(x)
functions.gelu(x, approximate=False)
functions.hard_sigmoid(x)
functions.identity(x)
functions.leaky_relu(x, negative_slope=0.01)
functions.log_softmax(x, axis=-1)
functions.mish(x)
functions.one_hot(labels, classes, dtype=None)
functions.relu(x)
functions.selu(x)
functions.sigmoid(x)
functions.silu(x)
functions.softmax(x, axis=-1)
functions.softplus(x)
functions.step(x)
functions.tanh(x)
initializers.constant(value)
initializers.he(key, shape, dtype)
initializers.he_uniform(key, shape, dtype)
initializers.normal(standard_deviation=0.01)
initializers.ones(key, shape, dtype)
initializers.orthogonal(gain=1.0)
initializers.truncated_normal(standard_deviation=0.01, cut=2.0)
initializers.uniform(low=-0.1, high=0.1)
initializers.variance_scaling(scale=1.0, fan='in', distribution='normal')
initializers.xavier(key, shape, dtype)
initializers.xavier_uniform(key, shape, dtype)
initializers.zeros(key, shape, dtype)
layers.AvgPool1d(kernel_size, *, stride=None, padding=0)
layers.AvgPool2d(kernel_size, *, stride=None, padding=0)
layers.BatchNorm(features, *, epsilon=1e-05, momentum=0.1)
layers.Conv1d(in_channels, out_channels, kernel_size, *, stride=1, padding=0, dilation=1, groups=1, bias=True, initializer=he)
layers.Conv2d(in_channels, out_channels, kernel_size, *, stride=1, padding=0, dilation=1, groups=1, bias=True, initializer=he)
layers.Conv3d(in_channels, out_channels, kernel_size, *, stride=1, padding=0, dilation=1, groups=1, bias=True, initializer=he)
layers.ConvTranspose1d(in_channels, out_channels, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1, bias=True, initializer=he)
layers.ConvTranspose2d(in_channels, out_channels, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1, bias=True, initializer=he)
layers.Dropout(rate=0.5)
layers.ELU(alpha=1.0)
layers.Embedding(rows, features, *, initializer=normal(1.0))
layers.Flatten()
layers.GELU(approximate=False)
layers.GRU(in_features, hidden_features, *, layers=1, bidirectional=False, dropout=0.0, bias=True)
layers.GlobalAvgPool2d()
layers.GlobalMaxPool2d()
layers.GroupNorm(groups, channels, *, epsilon=1e-05)
layers.HardSigmoid()
layers.Identity()
layers.LSTM(in_features, hidden_features, *, layers=1, bidirectional=False, dropout=0.0, bias=True)
layers.LayerNorm(features, *, epsilon=1e-05)
layers.LeakyReLU(negative_slope=0.01)
layers.Linear(in_features, out_features, *, bias=True, initializer=he)
layers.LogSoftmax()
layers.MaxPool1d(kernel_size, *, stride=None, padding=0)
layers.MaxPool2d(kernel_size, *, stride=None, padding=0)
layers.Mish()
layers.Module()
layers.MultiHeadAttention(features, heads, *, dropout=0.0, bias=True)
layers.PReLU(features=1, *, negative_slope=0.25)
layers.RMSNorm(features, *, epsilon=1e-05)
layers.RNN(in_features, hidden_features, *, layers=1, bidirectional=False, dropout=0.0, bias=True, nonlinearity='tanh')
layers.ReLU()
layers.Residual(*layers)
layers.SELU()
layers.Sequential(*layers, seed=None, backend=None, dtype=None)
layers.SiLU()
layers.Sigmoid()
layers.Softmax()
layers.Softplus()
layers.Step()
layers.Summary(net, input_shape=None, *, dtype=None)
layers.Tanh()
layers.TransformerDecoderLayer(features, heads, hidden, *, dropout=0.1, activation=None, norm_first=False)
layers.TransformerEncoderLayer(features, heads, hidden, *, dropout=0.1, activation=None, norm_first=False)
layers.Uninitialized(shape, initializer)
layers.activation(name)
layers.Upsample(*, size=None, scale_factor=None, mode='nearest', align_corners=False)
layers.capture(net, paths)
layers.parameter(shape, initializer)
layers.summary(net, input_shape=None, *, dtype=None)
losses.binary_cross_entropy_with_logits(logits, labels, *, pos_weight=None, reduction='mean')
losses.cosine(x1, x2, *, reduction='mean')
losses.cosine_embedding(x1, x2, labels, *, margin=0.0, reduction='mean')
losses.cross_entropy(logits, labels, *, weight=None, label_smoothing=0.0, ignore_index=None, reduction='mean')
losses.cross_entropy_of_probabilities(probabilities, labels, delta=1e-07, *, reduction='mean')
losses.hinge(outputs, labels, *, margin=1.0, reduction='mean')
losses.huber(outputs, labels, *, delta=1.0, reduction='mean')
losses.kl_divergence(log_probabilities, labels, *, reduction='mean')
losses.mean_absolute_error(outputs, labels, *, reduction='mean')
losses.mean_squared_error(outputs, labels, *, reduction='mean')
losses.multi_margin(outputs, labels, *, margin=1.0, reduction='mean')
losses.negative_log_likelihood(log_probabilities, labels, *, weight=None, ignore_index=None, reduction='mean')
losses.sum_of_squares(outputs, labels, *, reduction='mean')
losses.triplet_margin(anchor, positive, negative, *, margin=1.0, reduction='mean')
metrics.Accuracy(*, ignore_index=None)
metrics.BinaryAccuracy(*, threshold=0.0)
metrics.F1(average='macro')
metrics.MeanAbsoluteError()
metrics.MeanSquaredError()
metrics.Metric()
metrics.OfAllRows(function)
metrics.Perplexity(*, ignore_index=None)
metrics.Precision(average='macro')
metrics.R2Score(*, multioutput='uniform_average')
metrics.Recall(average='macro')
metrics.TopKAccuracy(k=5, *, ignore_index=None)
metrics.accuracy(outputs, labels, *args, **settings)
metrics.as_metric(function)
metrics.binary_accuracy(outputs, labels, *args, **settings)
metrics.confusion_matrix(outputs, labels)
metrics.f1(outputs, labels, *args, **settings)
metrics.mean_absolute_error(outputs, labels, *args, **settings)
metrics.mean_squared_error(outputs, labels, *args, **settings)
metrics.perplexity(outputs, labels, *args, **settings)
metrics.precision(outputs, labels, *args, **settings)
metrics.r2_score(outputs, labels, *args, **settings)
metrics.recall(outputs, labels, *args, **settings)
metrics.top_k_accuracy(outputs, labels, *args, **settings)
optimizers.Accumulation(optimizer, steps)
optimizers.AdaGrad(learning_rate=0.01, *, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10)
optimizers.Adam(learning_rate=0.001, *, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False)
optimizers.AdamW(learning_rate=0.001, *, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False)
optimizers.Adamax(learning_rate=0.002, *, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)
optimizers.Averages(optimizer)
optimizers.Clipping(optimizer, max_norm=None, max_value=None)
optimizers.ExponentialAverage(optimizer, decay=0.999)
optimizers.Groups(*groups)
optimizers.LAMB(learning_rate=0.001, *, betas=(0.9, 0.999), eps=1e-06, weight_decay=0.01)
optimizers.Lion(learning_rate=0.0001, *, betas=(0.9, 0.99), weight_decay=0.0)
optimizers.Momentum(learning_rate=0.001, momentum=0.9, *, dampening=0.0, nesterov=False, weight_decay=0.0)
optimizers.Muon(learning_rate=0.001, *, weight_decay=0.1, momentum=0.95, nesterov=True, ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-07, ns_steps=5, adjust_lr_fn=None, rest=None)
optimizers.NAdam(learning_rate=0.002, *, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, momentum_decay=0.004, decoupled_weight_decay=False)
optimizers.Optimizer(*args, **named)
optimizers.RMSprop(learning_rate=0.01, *, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0, centered=False)
optimizers.SGD(learning_rate=0.001, *, weight_decay=0.0)
optimizers.Sharded(optimizer, group)
optimizers.StochasticAverage(optimizer, start=0, every=1)
optimizers.Wrapper(*args, **named)
optimizers.clip_by_global_norm(grads, max_norm, *, error_if_nonfinite=False)
optimizers.clip_by_value(grads, max_value)
optimizers.global_norm(grads)
optimizers.schedules.Constant(learning_rate)
optimizers.schedules.Cosine(learning_rate, steps, min_lr=0.0)
optimizers.schedules.CosineRestarts(learning_rate, steps, multiplier=1, min_lr=0.0)
optimizers.schedules.Exponential(learning_rate, gamma)
optimizers.schedules.Joined(schedules, boundaries)
optimizers.schedules.Linear(learning_rate, steps, start_factor=0.3333333333333333, end_factor=1.0)
optimizers.schedules.MultiStep(learning_rate, milestones, gamma=0.1)
optimizers.schedules.OneCycle(learning_rate, steps, pct_start=0.3, anneal_strategy='cos', div_factor=25.0, final_div_factor=10000.0, three_phase=False)
optimizers.schedules.Plateau(learning_rate, mode='min', factor=0.1, patience=10, threshold=0.0001, threshold_mode='rel', cooldown=0, min_lr=0.0, eps=1e-08, monitor='loss')
optimizers.schedules.Polynomial(learning_rate, steps, power=1.0, min_lr=0.0)
optimizers.schedules.Step(learning_rate, step_size, gamma=0.1)
optimizers.schedules.Warmup(schedule, steps)
random.bernoulli(key, probability, shape, *, coarse=False)
random.bits(key, shape)
random.fold_in(key, number)
random.integers(key, shape, low, high)
random.key(seed, backend=None)
random.normal(key, shape, dtype=None)
random.permutation(key, n)
random.split(key, number=2)
random.uniform(key, shape, dtype=None, low=0.0, high=1.0)
"""  # noqa: E501


def signatures(module):
    """Return the signatures of a module's public functions and classes by name, without
    annotations."""
    namespace = importlib.import_module(f"anynet.{module}")
    found = {}
    for name in namespace.__all__:
        value = getattr(namespace, name)
        if not callable(value):
            continue
        signature = inspect.signature(value.reference if isinstance(value, Primitive) else value)
        parameters = [
            p.replace(annotation=p.empty, default=named(p.default))
            for p in signature.parameters.values()
        ]
        text = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
        found[f"{module}.{name}"] = text
    return found


class Named:
    """A function as a default, shown by its name and its bound arguments."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


def named(default):
    if isinstance(default, partial):
        return Named(f"{default.func.__name__.strip('_')}({', '.join(map(repr, default.args))})")
    return Named(default.__name__) if inspect.isfunction(default) else default


@pytest.mark.parametrize("module", MODULES)
def test_signatures(module):
    lines = [
        line
        for line in SIGNATURES.strip().splitlines()
        if line.startswith(f"{module}.") and "." not in line[len(module) + 1 :].partition("(")[0]
    ]
    expected = {line.partition("(")[0]: line[line.index("(") :] for line in lines}
    assert signatures(module) == expected


#: Ours and PyTorch's names of the same default.
THEIRS = [
    ("optimizers.AdamW", "weight_decay", "optim.AdamW", "weight_decay"),
    ("optimizers.AdamW", "learning_rate", "optim.AdamW", "lr"),
    ("optimizers.Adam", "learning_rate", "optim.Adam", "lr"),
    ("layers.BatchNorm", "epsilon", "nn.BatchNorm1d", "eps"),
    ("layers.BatchNorm", "momentum", "nn.BatchNorm1d", "momentum"),
    ("layers.LayerNorm", "epsilon", "nn.LayerNorm", "eps"),
    ("layers.GroupNorm", "epsilon", "nn.GroupNorm", "eps"),
    (
        "layers.LeakyReLU",
        "negative_slope",
        "nn.LeakyReLU",
        "negative_slope",
    ),
    ("layers.ELU", "alpha", "nn.ELU", "alpha"),
    ("layers.Dropout", "rate", "nn.Dropout", "p"),
    (
        "layers.MultiHeadAttention",
        "dropout",
        "nn.MultiheadAttention",
        "dropout",
    ),
    (
        "layers.TransformerEncoderLayer",
        "dropout",
        "nn.TransformerEncoderLayer",
        "dropout",
    ),
    (
        "layers.TransformerEncoderLayer",
        "norm_first",
        "nn.TransformerEncoderLayer",
        "norm_first",
    ),
    ("losses.huber", "delta", "nn.HuberLoss", "delta"),
    ("losses.multi_margin", "margin", "nn.MultiMarginLoss", "margin"),
    ("losses.hinge", "margin", "nn.HingeEmbeddingLoss", "margin"),
    (
        "losses.cosine_embedding",
        "margin",
        "nn.CosineEmbeddingLoss",
        "margin",
    ),
    ("losses.triplet_margin", "margin", "nn.TripletMarginLoss", "margin"),
    (
        "losses.cross_entropy",
        "label_smoothing",
        "nn.CrossEntropyLoss",
        "label_smoothing",
    ),
]


def default(root, path, parameter):
    for name in path.split("."):
        root = getattr(root, name)
    return inspect.signature(root).parameters[parameter].default


@pytest.mark.parametrize(("ours", "parameter", "theirs", "name"), THEIRS)
def test_defaults_against_pytorch(ours, parameter, theirs, name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    anynet = importlib.import_module("anynet")
    assert default(anynet, ours, parameter) == default(torch, theirs, name)


#: Settings that differ from PyTorch's on purpose: without momentum, Momentum would be SGD.
OUR_OWN = {("Momentum", "momentum"), ("Muon", "rest")}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SGD", "SGD"),
        ("Momentum", "SGD"),
        ("AdaGrad", "Adagrad"),
        ("RMSprop", "RMSprop"),
        ("Adam", "Adam"),
        ("AdamW", "AdamW"),
        ("NAdam", "NAdam"),
        ("Adamax", "Adamax"),
        ("Muon", "Muon"),
    ],
)
def test_settings_of_optimizers_against_pytorch(ours, theirs):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    optimizers = importlib.import_module("anynet.optimizers")
    if not hasattr(torch.optim, theirs):
        pytest.skip(reason="this PyTorch has no such optimizer")
    expected = inspect.signature(getattr(torch.optim, theirs)).parameters
    for name, parameter in inspect.signature(getattr(optimizers, ours)).parameters.items():
        if (ours, name) not in OUR_OWN:
            wanted = expected["lr" if name == "learning_rate" else name].default
            assert parameter.default == wanted, name
