import numpy as np
import pytest
from helpers import host

import anynet
from anynet.array import array_namespace
from anynet.errors import BackendError

torch = pytest.importorskip("torch", reason="needs torch")


def test_a_device_that_is_not_there():
    with pytest.raises(BackendError, match="torch cannot use the device 'quantum'"):
        anynet.get_backend("torch:quantum")
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="torch cannot use the device 'cuda'"):
            anynet.get_backend("torch:cuda")


def test_numbers_are_copied_and_pytorchs_own_derivatives_are_left_alone():
    backend = anynet.get_backend("torch")
    data = np.ones(3)
    x = backend.asarray(data)
    data[0] = 5
    assert host(x).tolist() == [1, 1, 1]
    y = torch.ones(3, dtype=torch.float64, requires_grad=True)
    assert host(anynet.grad(lambda y: array_namespace(y).sum(y**2))(y.detach())).tolist() == [2, 2, 2]
    assert y.grad is None
