"""Numbers as the pages have them: metrics in per cent, differences in points, operations with their unit."""

from zoo.proof.publish.markdown import NONE

_UNITS = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1e3, "kFLOP"))


def percent(share: float | None) -> str:
    """0.7123 as `71.2`; the column says that it is in per cent."""
    return NONE if share is None else f"{100 * share:.1f}"


def points(difference: float | None) -> str:
    """0.0512 as `+5.1`."""
    if difference is None:
        return NONE
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def interval(low: float | None, high: float | None) -> str:
    """`+1.0 … +9.3`, in points."""
    return NONE if low is None or high is None else f"{points(low)} … {points(high)}"


def operations(flops: float | None) -> str:
    """3.2e15 as `3.2 PFLOP`; none at all is a dash."""
    if not flops:
        return NONE
    for size, unit in _UNITS:
        if flops >= size:
            return f"{flops / size:.3g} {unit}"
    return f"{flops:.3g} FLOP"


def duration(seconds: float | None) -> str:
    """`41 s`, `12 min`, `1 h 5 min`."""
    if seconds is None:
        return NONE
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int | None) -> str:
    """9600 as `9,600`; none is a dash."""
    return f"{number:,}" if number else NONE


def parameters(number: int) -> str:
    """`0.84 M`, `26.1 k`."""
    if not number:
        return NONE
    return f"{number / 1e6:.2f} M" if number >= 1e5 else f"{number / 1e3:.1f} k"


def rate(per_second: float) -> str:
    """Clips a second."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"
