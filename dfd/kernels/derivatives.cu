// Depth from the four images of a differential quadruple in one pass: what derivatives.py says, for the GPU.
//
// A thread owns one column of ROWS rows.  Row by row it sums the products of WINDOW neighbours, which the first cache holds,
// keeps the last WINDOW of those sums in registers, and writes one depth and one sigma: every image is read from memory once.
// Compile-time: WINDOW (odd), FORM (0 total least squares, 1 least squares, 2 ratio), PIXEL (float or unsigned short).
// `c` are the Numbers of derivatives.py, in their order.

#ifndef ROWS
#define ROWS 128
#endif
#define HALF (WINDOW / 2)

enum { SQUARES, POWERS, CROSSES, KNOWN, SUMS };

extern "C" __global__ void quad(const PIXEL* __restrict__ power_minus, const PIXEL* __restrict__ power_plus,
                                const PIXEL* __restrict__ aperture_minus, const PIXEL* __restrict__ aperture_plus,
                                const float* __restrict__ c, int height, int width,
                                float* __restrict__ values, float* __restrict__ sigma)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= width) return;
    const int first = blockIdx.y * ROWS;
    const int last = min(first + ROWS, height);
    const int left = max(x - HALF, 0), right = min(x + HALF, width - 1);
    const float nothing = nanf("");
    float ring[WINDOW][SUMS], brightness[WINDOW];
#pragma unroll
    for (int slot = 0; slot < WINDOW; ++slot) brightness[slot] = nothing;

    for (int base = first - HALF; base < last + HALF; base += WINDOW) {
#pragma unroll
        for (int slot = 0; slot < WINDOW; ++slot) {
            const int y = base + slot;
#pragma unroll
            for (int part = 0; part < SUMS; ++part) ring[slot][part] = 0.0f;
            brightness[slot] = nothing;
            if (y >= 0 && y < height && y < last + HALF) {
                const size_t row = (size_t)y * width;
                for (int at = left; at <= right; ++at) {
                    const float dark = c[0] * (float)power_minus[row + at], light = c[1] * (float)power_plus[row + at];
                    const float power = light - dark + c[4];
                    const float aperture = c[3] * (float)aperture_plus[row + at] - c[2] * (float)aperture_minus[row + at]
                                           + c[5];
                    const float both = power + aperture;
                    if (both - both == 0.0f) {  // finite
                        ring[slot][SQUARES] += aperture * aperture;
                        ring[slot][POWERS] += power * power;
                        ring[slot][CROSSES] += aperture * power;
                        ring[slot][KNOWN] += 1.0f;
                        if (at == x) brightness[slot] = dark + light;
                    }
                }
            }
            const int out = y - HALF;
            if (out < first || out >= last) continue;
            float sums[SUMS] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
            for (int k = 0; k < WINDOW; ++k)
#pragma unroll
                for (int part = 0; part < SUMS; ++part) sums[part] += ring[k][part];
            const float aa = sums[SQUARES], pp = sums[POWERS], ap = sums[CROSSES], samples = sums[KNOWN];
            const float bright = brightness[(slot + WINDOW - HALF) % WINDOW];
            const float power_noise = fmaxf(bright * c[6] + c[7], c[8]), aperture_noise = fmaxf(bright * c[9] + c[10], c[11]);
            const float noise = power_noise * aperture_noise, one = aa * power_noise, other = pp * aperture_noise;
            const float root = sqrtf((other - one) * (other - one) + 4.0f * noise * ap * ap);
            float ratio, weight, drift;
            bool seen;
            const float faint = 0.5f * samples * c[13] * sqrtf(c[14] / samples);
            if (FORM == 0) {
                weight = 2.0f * aperture_noise / (other - one + root + 2.0f * c[12] * noise);
                ratio = ap * weight;
                const float drawn = c[12] * power_noise * weight;
                drift = ratio * drawn / (1.0f - drawn);
                seen = weight * faint * power_noise < 1.0f;
            } else {
                const float power_part = pp - power_noise * samples, aperture_part = aa - aperture_noise * samples;
                weight = 1.0f / pp;
                if (FORM == 1) {
                    ratio = (c[16] * ap - c[17] * aa) / (c[16] * pp - c[17] * ap);
                    drift = (c[16] * ap - c[17] * aperture_part) / (c[16] * power_part - c[17] * ap) - ratio;
                } else {
                    ratio = ap * weight;
                    drift = ap / power_part - ratio;
                }
                seen = power_part > faint * power_noise;
            }
            const float misfit = fmaxf(aa + ratio * (ratio * pp - 2.0f * ap),
                                       (aperture_noise + ratio * ratio * power_noise) * samples);
            const float variance = (misfit + noise * samples * samples * weight) * weight / samples * c[14] + drift * drift;
            const float u = ratio * c[18], v = fabsf(u), t = 1.0f / (1.0f + c[19] * u * u);
            const float value = c[16] + u * (c[20] + u * (c[21] + u * (c[22] + u * (c[23] + u * c[24])))
                                             + t * (c[25] + t * (c[26] + t * c[27])));
            const float slope = c[28] + u * (c[29] + u * (c[30] + u * c[31])) + t * (c[32] + t * c[33]);
            const float strays = c[34] + v * (c[35] + v * c[36] + t * t * c[37]);
            const float deviation = sqrtf(variance * slope * slope + strays * strays);
            const float floor = 1.0f + c[13] * sqrtf(c[14] / samples);
            const bool known = seen && samples >= c[15] && one + other + root > 2.0f * floor * noise * samples && weight > 0.0f
                               && deviation < c[40] && value >= c[38] && value <= c[39] && bright == bright;
            values[(size_t)out * width + x] = known ? value : nothing;
            sigma[(size_t)out * width + x] = known ? deviation : nothing;
        }
    }
}
