// Attention of one new token of each sequence against its pages (cpu/pages.h has the picture of pages and tables).
// A block of threads has the GROUP query heads of one key/value head of one sequence. Its warps take pages in turn; each keeps a softmax of
// what it saw, and in the end the warps' are put together.
//
// WIDTH: of a head; GROUP: query heads of a key/value head; P: type of the pages.

constexpr int kWarps = 4, kPage = 16;
constexpr int kOwn = WIDTH / 32;  // numbers of a head that a lane has

extern "C" __global__ void __launch_bounds__(kWarps * 32)
    paged_attention(const float* q, const P* keys, const P* values, const long long* tables, const long long* lengths, float* out, int tableWidth,
                    float scale, int window, float softCap) {
  __shared__ float queries[GROUP][WIDTH], shares[kWarps][GROUP][kPage], mosts[kWarps][GROUP], totals[kWarps][GROUP];
  __shared__ float sums[kWarps][GROUP][WIDTH];
  const int sequence = blockIdx.x, head = blockIdx.y, keyHeads = gridDim.y;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const long long firstQuery = (static_cast<long long>(sequence) * keyHeads + head) * GROUP * WIDTH;
  for (int i = threadIdx.x; i < GROUP * WIDTH; i += kWarps * 32) queries[i / WIDTH][i % WIDTH] = q[firstQuery + i] * scale;
  __syncthreads();

  const int prompt = lengths[2 * sequence], all = prompt + static_cast<int>(lengths[2 * sequence + 1]);
  const int promptPages = (prompt + kPage - 1) / kPage, pages = promptPages + (all - prompt + kPage - 1) / kPage;
  const int firstSeen = window > 0 ? max(0, all - window) : 0;
  float most[GROUP], total[GROUP], sum[GROUP][kOwn];
#pragma unroll
  for (int g = 0; g < GROUP; g++) {
    most[g] = -INFINITY;
    total[g] = 0;
#pragma unroll
    for (int i = 0; i < kOwn; i++) sum[g][i] = 0;
  }
  for (int index = warp; index < pages; index += kWarps) {
    const int position = index < promptPages ? index * kPage : prompt + (index - promptPages) * kPage;
    const int count = min(kPage, (index < promptPages ? prompt : all) - position);
    if (position + count <= firstSeen) continue;
    const long long page = tables[static_cast<long long>(sequence) * tableWidth + index];
    const long long place = (page * keyHeads + head) * WIDTH * kPage;

    // A lane has numbers lane / 2, + 16, ... of 8 tokens: those of the even lanes are the first 8.
    const int half = lane % 2 * 8;
    float scores[GROUP][8];
#pragma unroll
    for (int g = 0; g < GROUP; g++)
#pragma unroll
      for (int j = 0; j < 8; j++) scores[g][j] = 0;
#pragma unroll 4
    for (int i = lane / 2; i < WIDTH; i += 16) {
      const auto pack = packAt<8>(keys + place + i * kPage + half);
#pragma unroll
      for (int g = 0; g < GROUP; g++)
#pragma unroll
        for (int j = 0; j < 8; j++) scores[g][j] += queries[g][i] * wide(pack.at[j]);
    }
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
      float largest = most[g];
#pragma unroll
      for (int j = 0; j < 8; j++) {
        float& score = scores[g][j];
        for (int distance = 2; distance < 32; distance *= 2) score += __shfl_xor_sync(kAllLanes, score, distance);
        if (softCap > 0) score = softCap * tanhf(score / softCap);
        if (half + j >= count || position + half + j < firstSeen) score = -INFINITY;
        largest = fmaxf(largest, score);
      }
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
      const float kept = expf(most[g] - largest);
      float added = 0;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        const float share = expf(scores[g][j] - largest);
        if (lane < 2) shares[warp][g][half + j] = share;
        added += share;
      }
      total[g] = total[g] * kept + added + __shfl_xor_sync(kAllLanes, added, 1);
      most[g] = largest;
#pragma unroll
      for (int i = 0; i < kOwn; i++) sum[g][i] *= kept;
    }
    __syncwarp();
#pragma unroll 4
    for (int token = 0; token < count; token++) {
      const auto pack = packAt<kOwn>(values + place + token * WIDTH + lane * kOwn);
#pragma unroll
      for (int g = 0; g < GROUP; g++)
#pragma unroll
        for (int i = 0; i < kOwn; i++) sum[g][i] += shares[warp][g][token] * wide(pack.at[i]);
    }
    __syncwarp();
  }

#pragma unroll
  for (int g = 0; g < GROUP; g++) {
    if (lane == 0) {
      mosts[warp][g] = most[g];
      totals[warp][g] = total[g];
    }
#pragma unroll
    for (int i = 0; i < kOwn; i++) sums[warp][g][lane * kOwn + i] = sum[g][i];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < GROUP * WIDTH; i += kWarps * 32) {
    const int g = i / WIDTH;
    float largest = -INFINITY;
    for (int w = 0; w < kWarps; w++) largest = fmaxf(largest, mosts[w][g]);
    float below = 0, above = 0;
    for (int w = 0; w < kWarps; w++) {
      const float factor = expf(mosts[w][g] - largest);
      below += totals[w][g] * factor;
      above += sums[w][g][i % WIDTH] * factor;
    }
    out[firstQuery + i] = above / below;
  }
}
