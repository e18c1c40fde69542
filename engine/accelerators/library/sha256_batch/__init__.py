"""SHA-256 of many messages of one size: https://doi.org/10.6028/NIST.FIPS.180-4, section 6.2.

Messages lie one after the other in the input, digests of 32 bytes in the output. Messages are independent, which is what
the variants use: NumPy, OpenCL and Wasm put messages side by side in vector lanes; `native` asks OpenSSL, which uses the
processor's SHA instructions where there are any, message by message.
"""

from engine.accelerators.library import Function

DIGEST = 32
LANES = 16  # messages of one OpenCL work item

FUNCTION = Function(
    id="sha256-batch",
    parameters=(("count", 1), ("size", 0)),
    variants=("numpy", "opencl", "wasm", "native"),
    input_bytes=lambda p: p["count"] * p["size"],
    output_bytes=lambda p: p["count"] * DIGEST,
    items=lambda p: p["count"],
    sized=lambda items: {"count": items, "size": 64},
    work=lambda p: (-(-p["count"] // LANES),),
)
