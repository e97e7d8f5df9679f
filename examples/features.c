/* Features of one recording by a packed program, in C: nothing but libearbit is needed.
 *
 * cc -o features features.c -learbit
 * ./features hubert.safetensors speech.wav                # says what comes out
 * ./features hubert.safetensors speech.wav features.f32   # writes float32, frame by frame
 * arecord -f S16_LE -r 16000 -d 5 | ./features hubert.safetensors /dev/stdin
 *
 * The WAV file holds 16-bit samples of one channel at 16 kHz; any other is refused, with what it
 * holds.  Where its header does not say how long it is, as in a pipe, it is read to its end. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "earbit.h"

/* So many samples are 4 h, the most that can be run. */
#define MAX_BYTES (2L * EARBIT_MAX_SAMPLES)
#define TO_THE_END (MAX_BYTES + 1)
#define ADVICE \
  "16-bit samples of one channel at 16 kHz are read: ffmpeg -i IN -ac 1 -ar 16000 OUT.wav"

static uint32_t little_endian(const unsigned char* bytes, int n) {
  uint32_t value = 0;
  while (n-- > 0) value = value << 8 | bytes[n];
  return value;
}

#define FORMAT_BYTES 26
#define EXTENSIBLE 0xfffe /* the kind of samples stands further behind */

/* Whether the format chunk tells of samples that are read; if not, says what it tells of. */
static int is_right_kind(const char* path, const unsigned char* format) {
  const unsigned first = little_endian(format, 2), n_channels = little_endian(format + 2, 2);
  const unsigned kind = first == EXTENSIBLE ? little_endian(format + 24, 2) : first;
  const unsigned rate_hz = little_endian(format + 4, 4), bytes_per_s = little_endian(format + 8, 4);
  const unsigned n_bytes = little_endian(format + 12, 2), n_bits = little_endian(format + 14, 2);
  if (kind == 3) {
    fprintf(stderr, "%s: float samples; %s\n", path, ADVICE);
  } else if (kind != 1) {
    fprintf(stderr, "%s: samples of kind %u, not plain integers; %s\n", path, kind, ADVICE);
  } else if (n_channels != 1) {
    fprintf(stderr, "%s: %u channels; %s\n", path, n_channels, ADVICE);
  } else if (rate_hz != 16000) {
    fprintf(stderr, "%s: %u Hz; %s\n", path, rate_hz, ADVICE);
  } else if (n_bits != 16) {
    fprintf(stderr, "%s: %u-bit samples; %s\n", path, n_bits, ADVICE);
  } else if (n_bytes != 2 || bytes_per_s != 32000) {
    fprintf(stderr, "%s: a header that contradicts itself, %u bytes a sample and %u a second\n",
            path, n_bytes, bytes_per_s);
  } else {
    return 1;
  }
  return 0;
}

/* Whether a length stands for one that is not known yet, as recorders and pipes write it: 0,
 * 0x7ffff000 (sox), 0x80000000 (arecord), 0xffffffff (ffmpeg), some of them less the header. */
static int is_open(uint32_t size) {
  return size == 0 || (size >= 0x7fff0000 && size <= 0x80010000) || size >= 0xffff0000;
}

/* Reads over bytes, since a pipe cannot be wound on; 0 when the file ends before. */
static int skip(FILE* file, uint32_t n_bytes) {
  char block[4096];
  while (n_bytes > 0) {
    const uint32_t n = n_bytes < sizeof(block) ? n_bytes : (uint32_t)sizeof(block);
    if (fread(block, 1, n, file) != n) return 0;
    n_bytes -= n;
  }
  return 1;
}

/* Goes to the samples of a WAV file and gives their bytes, or TO_THE_END; 0 when it cannot be used,
 * and why is said. */
static long find_samples(const char* path, FILE* file) {
  unsigned char header[16];
  int has_format = 0;
  if (fread(header, 1, 12, file) != 12 || memcmp(header, "RIFF", 4) != 0 ||
      memcmp(header + 8, "WAVE", 4) != 0) {
    fprintf(stderr, "%s: no WAV file; %s\n", path, ADVICE);
    return 0;
  }
  while (fread(header, 1, 8, file) == 8) {
    const uint32_t size = little_endian(header + 4, 4);
    const int is_data = memcmp(header, "data", 4) == 0;
    uint32_t skipped = size + size % 2; /* a chunk begins at an even byte */
    if (is_data && has_format && is_open(size)) return TO_THE_END;
    if (size > MAX_BYTES) {
      fprintf(stderr, "%s: a header that promises %lu bytes; at most %ld (4 h) are read\n", path,
              (unsigned long)size, MAX_BYTES);
      return 0;
    }
    if (is_data) {
      if (has_format && size % 2 == 0) return (long)size;
      fprintf(stderr, "%s: %s\n", path,
              has_format ? "a header that promises half a sample" : "samples before their format");
      return 0;
    }
    if (memcmp(header, "fmt ", 4) == 0 && size >= 16) {
      unsigned char format[FORMAT_BYTES] = {0};
      const uint32_t n_bytes = size < FORMAT_BYTES ? size : FORMAT_BYTES;
      if (fread(format, 1, n_bytes, file) != n_bytes) break;
      if (!is_right_kind(path, format)) return 0;
      has_format = 1;
      skipped -= n_bytes;
    }
    if (!skip(file, skipped)) break;
  }
  fprintf(stderr, "%s: breaks off before its samples; copy it again\n", path);
  return 0;
}

/* Bytes of the file, at most n_most, to be freed by the caller; null when there is no memory. */
static unsigned char* read_bytes(FILE* file, long n_most, long* n_read) {
  long room = 1L << 16;
  unsigned char* bytes = malloc((size_t)room);
  *n_read = 0;
  while (bytes != NULL) {
    const long n = (n_most < room ? n_most : room) - *n_read;
    const long n_there = (long)fread(bytes + *n_read, 1, (size_t)n, file);
    unsigned char* larger;
    *n_read += n_there;
    if (n_there < n || *n_read == n_most) return bytes;
    room *= 2;
    larger = realloc(bytes, (size_t)room);
    if (larger == NULL) free(bytes);
    bytes = larger;
  }
  return NULL;
}

/* Samples between -1 and 1, to be freed by the caller; null when the file cannot be used, and why
 * is said. */
static float* read_samples(const char* path, FILE* file, int64_t* n_samples) {
  const long n_bytes = find_samples(path, file);
  long n_read = 0;
  unsigned char* bytes = n_bytes == 0 ? NULL : read_bytes(file, n_bytes, &n_read);
  float* samples = malloc(((size_t)n_read / 2 + 1) * sizeof(float));
  int64_t i;
  *n_samples = n_read / 2;
  if (n_bytes == 0) {
    /* Why has been said. */
  } else if (ferror(file)) {
    fprintf(stderr, "%s: cannot be read\n", path);
  } else if (bytes == NULL || samples == NULL) {
    fprintf(stderr, "%s: no memory for its samples\n", path);
  } else if (n_read > MAX_BYTES) {
    fprintf(stderr, "%s: more than %ld bytes of samples (4 h); cut it\n", path, MAX_BYTES);
  } else if (n_bytes == TO_THE_END && *n_samples == 0) {
    fprintf(stderr, "%s: no samples in it\n", path);
  } else if (n_bytes != TO_THE_END && n_read < n_bytes) {
    fprintf(stderr, "%s: breaks off after %ld of %ld bytes of samples; copy it again\n", path,
            n_read, n_bytes);
  } else {
    for (i = 0; i < *n_samples; ++i) {
      samples[i] = (float)(int16_t)little_endian(bytes + 2 * i, 2) / 32768.0f;
    }
    free(bytes);
    return samples;
  }
  free(bytes);
  free(samples);
  return NULL;
}

static float* read_wav(const char* path, int64_t* n_samples) {
  FILE* file = fopen(path, "rb");
  float* samples;
  if (file == NULL) {
    fprintf(stderr, "%s: cannot be opened (%s)\n", path, strerror(errno));
    return NULL;
  }
  samples = read_samples(path, file, n_samples);
  fclose(file);
  return samples;
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
    is_done = fflush(stdout) == 0;
    if (!is_done) fprintf(stderr, "standard output: cannot be written\n");
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
    earbit_close(program);
    return 1;
  }
  status = print_features(program, samples, n_samples, argc == 4 ? argv[3] : NULL);
  free(samples);
  earbit_close(program);
  return status;
}
