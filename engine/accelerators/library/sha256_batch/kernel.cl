// SHA-256 in OpenCL C: a work item does 16 messages of one size, one in each lane of a vector.
// https://doi.org/10.6028/NIST.FIPS.180-4: constants 4.2.2 and 5.3.3, functions 4.1.2, padding 5.1.1, computation 6.2.2.

#define LANES 16

__constant uint K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// Word `at` of message, padding included; size in bytes, last: index of the last word.
uint word(__global const uchar *message, uint size, uint at, uint last) {
  if (4 * at + 4 <= size) {
    uchar4 b = vload4(0, message + 4 * at);
    return (uint)b.x << 24 | (uint)b.y << 16 | (uint)b.z << 8 | b.w;
  }
  if (at == last)
    return size << 3;
  if (at == last - 1)
    return size >> 29;
  uint value = 0;
  for (uint i = 4 * at; i < 4 * at + 4; i++)
    value = value << 8 | (i < size ? message[i] : i == size ? 0x80 : 0);
  return value;
}

#define R(x, n) rotate(x, (uint16)(32 - n))
#define ROUND(t)                                                                                                       \
  {                                                                                                                    \
    uint16 t1 = h + (R(e, 6) ^ R(e, 11) ^ R(e, 25)) + (g ^ (e & (f ^ g))) + K[t] + w[t & 15];                          \
    uint16 t2 = (R(a, 2) ^ R(a, 13) ^ R(a, 22)) + ((a & b) | (c & (a | b)));                                           \
    h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;                                                 \
  }

__kernel void run(__global const uchar *in, __global uchar *out, uint count, uint size) {
  uint first = get_global_id(0) * LANES;
  uint blocks = (size + 9 + 63) / 64;
  uint last = blocks * 16 - 1;
  uint16 s0 = 0x6a09e667, s1 = 0xbb67ae85, s2 = 0x3c6ef372, s3 = 0xa54ff53a;
  uint16 s4 = 0x510e527f, s5 = 0x9b05688c, s6 = 0x1f83d9ab, s7 = 0x5be0cd19;
  for (uint block = 0; block < blocks; block++) {
    uint16 w[16];
    for (uint lane = 0; lane < LANES; lane++) {
      __global const uchar *message = in + (size_t)min(first + lane, count - 1) * size;
      for (uint i = 0; i < 16; i++)
        ((uint *)&w[i])[lane] = word(message, size, block * 16 + i, last);
    }
    uint16 a = s0, b = s1, c = s2, d = s3, e = s4, f = s5, g = s6, h = s7;
#pragma unroll
    for (uint t = 0; t < 16; t++)
      ROUND(t)
    for (uint base = 16; base < 64; base += 16) {
#pragma unroll
      for (uint i = 0; i < 16; i++) {
        uint16 x = w[(i + 1) & 15], y = w[(i + 14) & 15];
        w[i] += (R(x, 7) ^ R(x, 18) ^ (x >> 3u)) + w[(i + 9) & 15] + (R(y, 17) ^ R(y, 19) ^ (y >> 10u));
        ROUND(base + i)
      }
    }
    s0 += a; s1 += b; s2 += c; s3 += d; s4 += e; s5 += f; s6 += g; s7 += h;
  }
  uint16 s[8] = {s0, s1, s2, s3, s4, s5, s6, s7};
  for (uint lane = 0; lane < LANES && first + lane < count; lane++)
    for (uint i = 0; i < 8; i++) {
      uint v = ((uint *)&s[i])[lane];
      vstore4((uchar4)(v >> 24, v >> 16, v >> 8, v), i, out + (size_t)(first + lane) * 32);
    }
}
