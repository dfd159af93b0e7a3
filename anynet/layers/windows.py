"""Settings of windows: kernel size, stride, padding and dilation, along one, two or three axes."""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from anynet import initializers
from anynet.arguments import check_flag, sizes, whole_number
from anynet.array import Array
from anynet.errors import ArgumentError
from anynet.initializers import Initializer
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives.convolution import Pair, Shape

T = TypeVar("T")

#: The padding before and after each axis.
Sides = tuple[Pair, ...]

_AXES = {2: "two for height and width", 3: "three for depth, height and width"}


class Convolution(Module):
    """The base of convolutions: their parameters and settings along one, two or three axes."""

    #: How many axes the windows have.
    AXES: ClassVar[int]
    #: Whether the weight is (in_channels, out_channels / groups, …), as in a transpose.
    IS_TRANSPOSED: ClassVar[bool] = False

    weight: Array
    stride: Shape
    padding: Shape | str
    dilation: Shape
    groups: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Shape,
        *,
        stride: int | Shape = 1,
        padding: int | Shape | str = 0,
        dilation: int | Shape = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: Initializer = initializers.he,
    ) -> None:
        in_channels, out_channels = sizes(in_channels=in_channels, out_channels=out_channels)
        check_flag("bias", bias)
        kernel = numbers("kernel_size", kernel_size, self.AXES)
        channels = (out_channels, in_channels)
        if self.IS_TRANSPOSED:
            channels = (in_channels, out_channels)
        self.weight = parameter(weight_shape(*channels, kernel, groups), initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride = numbers("stride", stride, self.AXES)
        self.dilation = numbers("dilation", dilation, self.AXES)
        self.groups = groups
        self.padding = padding_of(padding, self.AXES)


def numbers(
    name: str,
    value: Any,
    count: int,
    least: int = 1,
) -> Shape:
    """Return a setting as whole numbers, one for each axis.

    Raises:
        ArgumentError: not whole numbers, or another count of them, or smaller than the least.

    """
    if count == 1:
        return (whole_number(name, value, least),)
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str)
    parts = tuple(value) if is_sequence else (value,) * count
    try:
        if len(parts) == count:
            return tuple(whole_number(name, part, least) for part in parts)
    except ValueError:
        # Also an ArgumentError.
        pass
    raise ArgumentError(
        f"{name} is {value!r}: wanted a whole number of {least} or more, or {_AXES[count]}"
    )


def two(values: tuple[T, ...]) -> tuple[T, T]:
    """Return the values for height and width, as the primitives of images take them."""
    height, width = values
    return height, width


def padding_of(value: Any, count: int) -> Shape | str:
    """Return the padding of a convolution as whole numbers, one for each axis, or "same"."""
    if value == "same":
        return "same"
    if isinstance(value, str):
        more = "" if count == 1 else f", {_AXES[count].partition(' ')[0]}"
        raise ArgumentError(
            f"padding is {value!r}: wanted a whole number of 0 or more{more}, or 'same'"
        )
    return numbers("padding", value, count, least=0)


def weight_shape(
    rows: int,
    columns: int,
    kernel: Shape,
    groups: int,
) -> Shape:
    """Return (rows, columns / groups, *kernel)."""
    groups = whole_number("groups", groups, 0)
    if not groups or rows % groups or columns % groups:
        raise ArgumentError(
            f"{rows} and {columns} channels in {groups} groups: wanted numbers that the groups "
            "divide"
        )
    return (rows, columns // groups, *kernel)


def settings_of(layer: Convolution, size: Shape) -> dict[str, Any]:
    """Return the settings of the primitive for inputs of a size."""
    return {
        "stride": layer.stride,
        "padding": sides(layer, size),
        "dilation": layer.dilation,
        "groups": layer.groups,
    }


def sides(layer: Convolution, size: Shape) -> Sides:
    """Return the padding before and after each axis of an input of a size."""
    if not isinstance(layer.padding, str):
        return tuple((n, n) for n in layer.padding)
    around: list[Pair] = []
    kernel = layer.weight.shape[2:]
    for n, step, dilation, k in zip(size, layer.stride, layer.dilation, kernel, strict=True):
        # The last of ⌈n / step⌉ windows ends where the padded input does.
        windows = -(-n // step)
        padding = max(0, (windows - 1) * step + dilation * (k - 1) + 1 - n)
        around.append((padding // 2, padding - padding // 2))
    return tuple(around)


def in_a_row(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of sequences as those of images of one row."""
    one: dict[str, Any] = {
        "kernel": (1,),
        "stride": (1,),
        "dilation": (1,),
        "padding": ((0, 0),),
    }
    return {name: one[name] + value if name in one else value for name, value in settings.items()}
