// SHA-256 for WebAssembly with simd128, freestanding: four messages of one size at a time, one in each lane of a vector.
// https://doi.org/10.6028/NIST.FIPS.180-4: constants 4.2.2 and 5.3.3, functions 4.1.2, padding 5.1.1, computation 6.2.2.
// The caller puts the input at `heap()`, leaves room for the output and `scratch()` bytes behind it, and calls `run`.

#include <stdint.h>

#define LANES 4

typedef uint32_t lanes __attribute__((vector_size(16)));
typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef lanes loose __attribute__((aligned(1)));

extern uint8_t __heap_base;

__attribute__((export_name("heap"))) uint32_t heap(void) { return (uint32_t)(uintptr_t)&__heap_base; }

// The last one or two blocks of each of four messages, padded.
__attribute__((export_name("scratch"))) uint32_t scratch(uint32_t count, uint32_t size) {
  (void)count;
  (void)size;
  return LANES * 128;
}

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static const uint32_t INITIAL[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static inline lanes rotate(lanes x, int by) { return x >> by | x << (32 - by); }

// Four bytes of each lane the other way round: words of a message are big-endian, WebAssembly is little-endian.
static inline lanes swap(lanes x) {
  bytes16 b = (bytes16)x;
  return (lanes)__builtin_shufflevector(b, b, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

// Four words of four messages, turned so that word i of all messages is w[i].
static inline void turn(lanes *w, lanes a, lanes b, lanes c, lanes d) {
  lanes ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  lanes ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  w[0] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  w[1] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  w[2] = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
  w[3] = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
}

static inline void block(lanes *state, const uint8_t *const *at) {
  lanes w[16];
  for (int i = 0; i < 4; i++)
    turn(w + 4 * i, swap(((const loose *)at[0])[i]), swap(((const loose *)at[1])[i]), swap(((const loose *)at[2])[i]),
         swap(((const loose *)at[3])[i]));
  lanes a = state[0], b = state[1], c = state[2], d = state[3];
  lanes e = state[4], f = state[5], g = state[6], h = state[7];
#pragma clang loop unroll(full)
  for (int t = 0; t < 64; t++) {
    if (t >= 16) {
      lanes x = w[(t + 1) & 15], y = w[(t + 14) & 15];
      w[t & 15] += (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[(t + 9) & 15] + (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
    }
    lanes t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + K[t] + w[t & 15];
    lanes t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));
    h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d;
  state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

__attribute__((export_name("run"))) void run(const uint8_t *in, uint8_t *out, uint8_t *tails, uint32_t count,
                                              uint32_t size) {
  uint32_t whole = size / 64, rest = size % 64;
  uint32_t more = rest + 9 > 64 ? 2 : 1;
  for (uint32_t first = 0; first < count; first += LANES) {
    const uint8_t *at[LANES];
    for (uint32_t lane = 0; lane < LANES; lane++) { // lanes without a message repeat the last one
      uint32_t message = first + lane < count ? first + lane : count - 1;
      at[lane] = in + message * size;
      uint8_t *tail = tails + 128 * lane;
      for (uint32_t i = 0; i < 128; i++)
        tail[i] = i < rest ? at[lane][64 * whole + i] : i == rest ? 0x80 : 0;
      uint64_t bits = (uint64_t)size * 8;
      for (uint32_t i = 0; i < 8; i++)
        tail[64 * more - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    lanes state[8];
    for (int i = 0; i < 8; i++)
      state[i] = (lanes){INITIAL[i], INITIAL[i], INITIAL[i], INITIAL[i]};
    for (uint32_t b = 0; b < whole + more; b++) {
      const uint8_t *now[LANES];
      for (uint32_t lane = 0; lane < LANES; lane++)
        now[lane] = b < whole ? at[lane] + 64 * b : tails + 128 * lane + 64 * (b - whole);
      block(state, now);
    }
    for (uint32_t lane = 0; lane < LANES && first + lane < count; lane++)
      for (int i = 0; i < 8; i++)
        ((uint32_t *)(out + 32 * (first + lane)))[i] = __builtin_bswap32(state[i][lane]);
  }
}
