"""What the public conformance suite tests: the differentiable namespace over a library, and that library bare."""

from anynet.autodiff import differentiable
from anynet.backend import get_backend

plain = get_backend().xp
xp = differentiable(plain)
