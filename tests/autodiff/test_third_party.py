"""Derivatives of third-party code: SciPy, scikit-learn and array-api-extra, by differences."""

import sys

import numpy as np
import pytest
from helpers import host

import anynet
from anynet.array import array_namespace
from anynet.tracing.trace import wrap

special = pytest.importorskip("scipy.special", reason="needs SciPy")
stats = pytest.importorskip("scipy.stats", reason="needs SciPy")
integrate = pytest.importorskip("scipy.integrate", reason="needs SciPy")
optimize = pytest.importorskip("scipy.optimize", reason="needs SciPy")
signal = pytest.importorskip("scipy.signal", reason="needs SciPy")
fft = pytest.importorskip("scipy.fft", reason="needs SciPy")
transform = pytest.importorskip("scipy.spatial.transform", reason="needs SciPy")
sklearn = pytest.importorskip("sklearn", reason="needs scikit-learn")
pairwise = pytest.importorskip("sklearn.metrics.pairwise", reason="needs scikit-learn")
decomposition = pytest.importorskip("sklearn.decomposition", reason="needs scikit-learn")
linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
preprocessing = pytest.importorskip("sklearn.preprocessing", reason="needs scikit-learn")
xpx = pytest.importorskip("array_api_extra", reason="needs array-api-extra")


def total(x):
    return array_namespace(x).sum(x)


def matrix(x):
    return array_namespace(x).reshape(x, (4, 2))


def aligned(x):
    """Fit a rotation between two sets of two points: a singular value decomposition of a matrix of
    rank 2."""
    xp = array_namespace(x)
    points = xp.reshape(xp.concat([x, x[:4] ** 2]), (2, 2, 3))
    rotation, _ = transform.Rotation.align_vectors(points[0, ...], points[1, ...])
    return total(rotation.as_matrix() ** 3)


FUNCTIONS = {
    "scipy.special.logsumexp": special.logsumexp,
    "scipy.special.softmax": lambda x: total(special.softmax(x) ** 2),
    "scipy.special.log_softmax": lambda x: total(special.log_softmax(x) ** 2),
    "scipy.special.rel_entr": lambda x: total(special.rel_entr(x, x * x)),
    "scipy.stats.skew": stats.skew,
    "scipy.stats.kurtosis": stats.kurtosis,
    "scipy.stats.moment": lambda x: stats.moment(x, 3),
    "scipy.stats.gmean": stats.gmean,
    "scipy.stats.hmean": stats.hmean,
    "scipy.stats.pmean": lambda x: stats.pmean(x, 3),
    "scipy.stats.sem": stats.sem,
    "scipy.stats.variation": stats.variation,
    "scipy.stats.zscore": lambda x: total(stats.zscore(x) ** 3),
    "scipy.stats.circmean": stats.circmean,
    "scipy.stats.quantile": lambda x: stats.quantile(
        x, array_namespace(x).asarray(0.3, dtype=x.dtype)
    ),
    "scipy.stats.differential_entropy": stats.differential_entropy,
    "scipy.stats.circvar": stats.circvar,
    "scipy.stats.boxcox_llf": lambda x: stats.boxcox_llf(0.5, x),
    "scipy.integrate.trapezoid": lambda x: integrate.trapezoid(x * x),
    "scipy.integrate.cumulative_trapezoid": lambda x: total(integrate.cumulative_trapezoid(x * x)),
    "scipy.integrate.cumulative_simpson": lambda x: total(integrate.cumulative_simpson(x * x)),
    "scipy.optimize.rosen": optimize.rosen,
    "scipy.spatial.transform.Rotation.align_vectors": aligned,
    "scipy.signal.hilbert": lambda x: total(array_namespace(x).abs(signal.hilbert(x))),
    "scipy.signal.fftconvolve": lambda x: total(signal.fftconvolve(x, x) ** 2),
    "scipy.signal.oaconvolve": lambda x: total(signal.oaconvolve(x, x) ** 2),
    "scipy.signal.oaconvolve by blocks": lambda x: total(
        signal.oaconvolve(array_namespace(x).concat([x] * 12), x[:3]) ** 2
    ),
    "scipy.signal.freqz": lambda x: total(array_namespace(x).abs(signal.freqz(x, worN=8)[1])),
    "scipy.fft.rfft": lambda x: total(array_namespace(x).abs(fft.rfft(x)) ** 2),
    "sklearn cosine_similarity": lambda x: total(pairwise.cosine_similarity(matrix(x)) ** 2),
    "sklearn euclidean_distances": lambda x: total(
        pairwise.euclidean_distances(matrix(x), matrix(x * x))
    ),
    "sklearn linear_kernel": lambda x: total(pairwise.linear_kernel(matrix(x)) ** 2),
    "sklearn rbf_kernel": lambda x: total(pairwise.rbf_kernel(matrix(x))),
    "sklearn polynomial_kernel": lambda x: total(pairwise.polynomial_kernel(matrix(x))),
    "sklearn MinMaxScaler": lambda x: total(
        preprocessing.MinMaxScaler().fit_transform(matrix(x)) ** 2
    ),
    "sklearn MaxAbsScaler": lambda x: total(
        preprocessing.MaxAbsScaler().fit_transform(matrix(x)) ** 2
    ),
    "sklearn Normalizer": lambda x: total(
        preprocessing.Normalizer().fit_transform(matrix(x))[:, 0] ** 2
    ),
    "sklearn PCA": lambda x: total(decomposition.PCA(1).fit(matrix(x)).explained_variance_),
    "sklearn Ridge": lambda x: total(
        linear_model.Ridge(solver="svd").fit(matrix(x), x[:4]).coef_ ** 2
    ),
    "xpx.union1d": lambda x: total(xpx.union1d(x, x * x) ** 2),
    "xpx.cov": lambda x: total(xpx.cov(array_namespace(x).stack([x, x * x]))),
    "xpx.kron": lambda x: total(xpx.kron(x, x * x)),
    "xpx.sinc": lambda x: total(xpx.sinc(x)),
    "xpx.expand_dims": lambda x: total(xpx.expand_dims(x, axis=(0, 1)) ** 2),
    "xpx.pad": lambda x: total(xpx.pad(x, 2) ** 2),
    "xpx.create_diagonal": lambda x: total(xpx.create_diagonal(x) ** 2),
    "xpx.at": lambda x: total(xpx.at(x)[1:].multiply(x[1:]) ** 2),
    "xpx.apply_where": lambda x: total(xpx.apply_where(x > 1, x, lambda x: x**2, lambda x: x**3)),
}


@pytest.fixture
def unchanged_flags():
    """scikit-learn sets array_api_strict's version of the standard for the whole process."""
    yield
    if "array_api_strict" in sys.modules:
        sys.modules["array_api_strict"].reset_array_api_strict_flags()


@pytest.mark.usefixtures("unchanged_flags")
@pytest.mark.filterwarnings(
    "ignore"
)  # their own: deprecations, small samples, experimental dispatch
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("library", ["numpy", "array_api_strict", "torch"])
def test_derivative(library, name):
    pytest.importorskip(library, reason=f"needs {library}")
    backend = anynet.get_backend(library)
    f = FUNCTIONS[name]
    point = np.array([0.5, 1.5, 1.2, 0.7, 2.0, 0.9, 1.1, 1.7])
    with sklearn.config_context(array_api_dispatch=True):
        value, found = anynet.value_and_grad(f)(backend.asarray(point))
        assert float(value) == pytest.approx(float(f(backend.asarray(point.copy()))), rel=1e-9)
        steps = 1e-6 * np.eye(8)
        ends = [
            [float(f(wrap(backend.asarray(point + sign * step)))) for step in steps]
            for sign in (1, -1)
        ]
    numerical = (np.array(ends[0]) - np.array(ends[1])) / 2e-6
    np.testing.assert_allclose(
        host(found),
        numerical,
        rtol=2e-6,
        atol=2e-7 * max(1.0, float(np.abs(numerical).max())),
    )
