// The blur in OpenCL C: a work item does 16 pixels of 16 rows. It goes down the rows with the last five sums across in
// registers, so each row is read once (and four more above and below). Columns outside the picture are clamped one by one.

#define ROWS 16

ushort16 pixels(__global const uchar *row, int x, int width) {
  if (x >= 0 && x + 16 <= width)
    return convert_ushort16(vload16(0, row + x));
  uchar bytes[16];
  for (int i = 0; i < 16; i++)
    bytes[i] = row[clamp(x + i, 0, width - 1)];
  return convert_ushort16(vload16(0, bytes));
}

ushort16 across(__global const uchar *in, int x, int y, int width, int height) {
  __global const uchar *row = in + (size_t)clamp(y, 0, height - 1) * width;
  return pixels(row, x - 2, width) + pixels(row, x + 2, width) + pixels(row, x, width) * (ushort)6 +
         (pixels(row, x - 1, width) + pixels(row, x + 1, width)) * (ushort)4;
}

__kernel void run(__global const uchar *in, __global uchar *out, int width, int height) {
  int x = get_global_id(0) * 16;
  int y = get_global_id(1) * ROWS;
  int end = min(y + ROWS, height);
  ushort16 a = across(in, x, y - 2, width, height), b = across(in, x, y - 1, width, height);
  ushort16 c = across(in, x, y, width, height), d = across(in, x, y + 1, width, height);
  for (; y < end; y++) {
    ushort16 e = across(in, x, y + 2, width, height);
    uchar16 result = convert_uchar16((a + e + (b + d) * (ushort)4 + c * (ushort)6 + (ushort)128) >> (ushort)8);
    __global uchar *to = out + (size_t)y * width + x;
    if (x + 16 <= width) {
      vstore16(result, 0, to);
    } else {
      uchar bytes[16];
      vstore16(result, 0, bytes);
      for (int i = 0; x + i < width; i++)
        to[i] = bytes[i];
    }
    a = b; b = c; c = d; d = e;
  }
}
