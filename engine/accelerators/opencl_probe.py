"""Lists OpenCL devices as JSON on stdout; started as a process of its own, because a bad driver can end the process.

Prints {"devices": […]} or {"reason": …, "remedy": …}.
"""

from __future__ import annotations

import json
from typing import Any

REMEDY = "apt-get install pocl-opencl-icd ocl-icd-libopencl1, or the driver of your accelerator"


def probe() -> dict[str, Any]:
    """What the platforms of this process's OpenCL loader tell of their devices."""
    try:
        import pyopencl as cl
    except ImportError as error:
        return {"reason": f"pyopencl cannot be loaded ({error})", "remedy": 'pip install "dappops[accelerators]"'}
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        return {"reason": "no OpenCL platform", "remedy": REMEDY}
    kinds = ((cl.device_type.GPU, "gpu"), (cl.device_type.ACCELERATOR, "accelerator"), (cl.device_type.CPU, "cpu"))
    found = []
    for platform in platforms:
        try:
            devices = platform.get_devices()
        except cl.Error:  # a platform without a device says so with an error
            continue
        found += [
            {
                "name": d.name.strip(), "vendor": d.vendor.strip(), "driver": d.driver_version.strip(),
                "platform": platform.name.strip(), "version": d.version.strip(), "units": int(d.max_compute_units),
                "memory": int(d.global_mem_size), "extensions": sorted(d.extensions.split()),
                "kind": next((name for flag, name in kinds if d.type & flag), "other"),
            }
            for d in devices
        ]  # fmt: skip
    return {"devices": found} if found else {"reason": "no OpenCL device on any platform", "remedy": REMEDY}


if __name__ == "__main__":
    print(json.dumps(probe()))
