"""5x5 Gaussian blur of a grey picture: binomial weights 1 4 6 4 1 both ways, edges repeated, rounded half up.

The weights sum to 256 and every intermediate value fits 16 bits (255 * 256 + 128 < 65536), so each variant computes in
16-bit integers and all give the same bytes.
"""

from engine.accelerators.library import Function, Parameters


def _pixels(parameters: Parameters) -> int:
    return parameters["width"] * parameters["height"]


def _sized(items: int) -> dict[str, int]:
    """A 4:3 picture of about `items` pixels."""
    width = max(1, round((items * 4 / 3) ** 0.5))
    return {"width": width, "height": max(1, round(items / width))}


BLOCK = 16  # pixels of one work item: one vector of bytes
ROWS = 16  # rows of one work item

FUNCTION = Function(
    id="frame-filter",
    parameters=(("width", 1), ("height", 1)),
    variants=("numpy", "opencl", "wasm"),
    input_bytes=_pixels,
    output_bytes=_pixels,
    items=_pixels,
    sized=_sized,
    work=lambda p: (-(-p["width"] // BLOCK), -(-p["height"] // ROWS)),
)
