// The blur for WebAssembly with simd128, freestanding: the loops are written so that the compiler vectorises them.
// The caller puts the input at `heap()`, leaves room for the output and `scratch()` bytes behind it, and calls `run`.

#include <stdint.h>

extern uint8_t __heap_base;

__attribute__((export_name("heap"))) uint32_t heap(void) { return (uint32_t)(uintptr_t)&__heap_base; }

// One row of 16-bit sums with two columns more at each side.
__attribute__((export_name("scratch"))) uint32_t scratch(uint32_t width, uint32_t height) {
  (void)height;
  return 2 * (width + 4);
}

static inline int32_t clamp(int32_t value, int32_t last) { return value < 0 ? 0 : value > last ? last : value; }

__attribute__((export_name("run"))) void run(const uint8_t *restrict in, uint8_t *restrict out,
                                              uint16_t *restrict sums, int32_t width, int32_t height) {
  for (int32_t y = 0; y < height; y++) {
    const uint8_t *a = in + (uint32_t)clamp(y - 2, height - 1) * (uint32_t)width;
    const uint8_t *b = in + (uint32_t)clamp(y - 1, height - 1) * (uint32_t)width;
    const uint8_t *c = in + (uint32_t)y * (uint32_t)width;
    const uint8_t *d = in + (uint32_t)clamp(y + 1, height - 1) * (uint32_t)width;
    const uint8_t *e = in + (uint32_t)clamp(y + 2, height - 1) * (uint32_t)width;
    for (int32_t x = 0; x < width; x++) {
      uint16_t ends = (uint16_t)(a[x] + e[x]);
      uint16_t near = (uint16_t)(b[x] + d[x]);
      sums[x + 2] = (uint16_t)(ends + (uint16_t)(near << 2) + (uint16_t)(c[x] * (uint16_t)6));
    }
    sums[0] = sums[1] = sums[2];
    sums[width + 2] = sums[width + 3] = sums[width + 1];
    uint8_t *restrict to = out + (uint32_t)y * (uint32_t)width;
    for (int32_t x = 0; x < width; x++) {
      uint16_t ends = (uint16_t)(sums[x] + sums[x + 4]);
      uint16_t near = (uint16_t)(sums[x + 1] + sums[x + 3]);
      uint16_t sum = (uint16_t)(ends + (uint16_t)(near << 2) + (uint16_t)(sums[x + 2] * (uint16_t)6) + (uint16_t)128);
      to[x] = (uint8_t)(sum >> 8);
    }
  }
}
