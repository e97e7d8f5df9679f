/* Features of one recording by a packed program, in C: nothing but libearbit is needed.
 *
 * cc -o features features.c -learbit
 * ./features hubert.safetensors speech.wav                # says what comes out
 * ./features hubert.safetensors speech.wav features.f32   # writes float32, frame by frame
 *
 * The WAV file holds 16-bit samples of one channel at 16 kHz. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "earbit.h"

/* So many samples are 4 h, the most that can be run. */
#define MAX_BYTES (2L * EARBIT_MAX_SAMPLES)

static uint32_t little_endian(const unsigned char* bytes, int n) {
  uint32_t value = 0;
  while (n-- > 0) value = value << 8 | bytes[n];
  return value;
}

/* Goes to the data of a WAV file and gives its bytes; 0 when it is not of the kind that is read. */
static long find_samples(FILE* file) {
  unsigned char header[16];
  int is_right_kind = 0;
  if (fread(header, 1, 12, file) != 12 || memcmp(header, "RIFF", 4) != 0 ||
      memcmp(header + 8, "WAVE", 4) != 0) {
    return 0;
  }
  while (fread(header, 1, 8, file) == 8) {
    const uint32_t size = little_endian(header + 4, 4);
    uint32_t skipped = size + size % 2; /* a chunk begins at an even byte */
    if (size > MAX_BYTES) return 0;
    if (memcmp(header, "data", 4) == 0) return is_right_kind ? (long)size : 0;
    if (memcmp(header, "fmt ", 4) == 0 && size >= 16) {
      if (fread(header, 1, 16, file) != 16) return 0;
      is_right_kind = little_endian(header, 2) == 1 && little_endian(header + 2, 2) == 1 &&
                      little_endian(header + 4, 4) == 16000 && little_endian(header + 14, 2) == 16;
      skipped -= 16;
    }
    if (fseek(file, (long)skipped, SEEK_CUR) != 0) return 0;
  }
  return 0;
}

/* Samples between -1 and 1, to be freed by the caller; null when the file cannot be used. */
static float* read_wav(const char* path, int64_t* n_samples) {
  FILE* file = fopen(path, "rb");
  const long n_bytes = file == NULL ? 0 : find_samples(file);
  unsigned char* bytes = malloc((size_t)n_bytes + 1);
  float* samples = malloc(((size_t)n_bytes / 2 + 1) * sizeof(float));
  int64_t i;
  *n_samples = 0;
  if (n_bytes > 0 && bytes != NULL && samples != NULL) {
    *n_samples = (int64_t)fread(bytes, 1, (size_t)n_bytes, file) / 2;
    for (i = 0; i < *n_samples; ++i) {
      samples[i] = (float)(int16_t)little_endian(bytes + 2 * i, 2) / 32768.0f;
    }
  }
  free(bytes);
  if (file != NULL) fclose(file);
  if (*n_samples > 0) return samples;
  free(samples);
  return NULL;
}

static int write_floats(const char* path, const float* values, size_t n) {
  FILE* file = fopen(path, "wb");
  size_t n_written;
  if (file == NULL) return 0;
  n_written = fwrite(values, sizeof(float), n, file);
  return fclose(file) == 0 && n_written == n;
}

/* Features of the samples; returns the exit status. */
static int print_features(const earbit_program* program, const float* samples, int64_t n_samples,
                          const char* out) {
  const int64_t n_frames = earbit_n_frames(program, n_samples);
  const int64_t n_floats = n_frames * earbit_width(program);
  float* features = malloc((size_t)n_floats * sizeof(float) + 1);
  int is_done = features != NULL && n_frames > 0 &&
                earbit_run(program, samples, n_samples, 1, features, n_floats) == EARBIT_OK;
  if (!is_done) {
    fprintf(stderr, "%s\n", features == NULL ? "no memory" : earbit_error());
  } else if (out != NULL && !write_floats(out, features, (size_t)n_floats)) {
    fprintf(stderr, "%s: cannot be written\n", out);
    is_done = 0;
  } else {
    printf("%lld frames of %d values, %d hidden states\n", (long long)n_frames,
           earbit_width(program), earbit_n_states(program));
  }
  free(features);
  return is_done ? 0 : 1;
}

int main(int argc, char** argv) {
  earbit_program* program;
  float* samples;
  int64_t n_samples;
  int status;
  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: features PROGRAM.safetensors AUDIO.wav [FEATURES.f32]\n");
    return 2;
  }
  if (earbit_open(argv[1], &program) != EARBIT_OK) {
    fprintf(stderr, "%s: %s\n", argv[1], earbit_error());
    return 1;
  }
  samples = read_wav(argv[2], &n_samples);
  if (samples == NULL) {
    fprintf(stderr, "%s: no WAV file of 16-bit samples, one channel, 16 kHz\n", argv[2]);
    earbit_close(program);
    return 1;
  }
  status = print_features(program, samples, n_samples, argc == 4 ? argv[3] : NULL);
  free(samples);
  earbit_close(program);
  return status;
}
