"""The modules under test in the conformance suite: a library's own namespace, and the
differentiable one over it.
"""

from anynet.autodiff import differentiable
from anynet.backend import get_backend

plain = get_backend().xp
xp = differentiable(plain)
