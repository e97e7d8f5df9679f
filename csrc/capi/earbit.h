/* libearbit: C interface for speech features, and results of a head, from a packed program.
 *
 * An open program is immutable, and any number of threads may run it at the same time.  A function
 * that can fail returns a status, and earbit_error() returns the message of the last failure in the
 * calling thread.  No function ends the process, prints, or throws a C++ exception.
 *
 * Resources kept after a call: an open program keeps up to 256 MiB of the memory of its runs for
 * later runs, even after a run that failed for lack of memory, until it is closed.  Threads that a
 * run has started, at most EARBIT_MAX_THREADS - 1 per process, sleep until another run needs them
 * and end with the process, so dlclose does not unload the library. */
#ifndef EARBIT_H
#define EARBIT_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(libearbit_EXPORTS)
#define EARBIT_API __declspec(dllexport)
#elif defined(_WIN32)
#define EARBIT_API __declspec(dllimport)
#elif defined(__GNUC__)
#define EARBIT_API __attribute__((visibility("default")))
#else
#define EARBIT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A program, in memory. */
typedef struct earbit_program earbit_program;

typedef enum {
  EARBIT_OK = 0,
  EARBIT_BAD_FILE = 1,     /* cannot be read, is damaged, foreign or of another version; from a run:
                              values of the program do not fit each other */
  EARBIT_BAD_AUDIO = 2,    /* too short, too long, or not finite */
  EARBIT_BAD_ARGUMENT = 3, /* a null pointer, a number out of range, an unknown EARBIT_ISA */
  EARBIT_NO_MEMORY = 4,
  EARBIT_BUG = 5,      /* of this library; please report it */
  EARBIT_CANCELLED = 6 /* earbit_cancel ended the run; nothing is written */
} earbit_status;

/* Samples of audio that can be run: 25 ms, which is one frame, to 4 h at 16 kHz. */
#define EARBIT_MIN_SAMPLES 400
#define EARBIT_MAX_SAMPLES 230400000
#define EARBIT_MAX_THREADS 256

/* Opens a file that `earbit export` wrote; its path is UTF-8 on Windows.  On success *program is to
 * be closed by earbit_close, on failure it is null.  The file is not needed afterwards. */
EARBIT_API earbit_status earbit_open(const char* path, earbit_program** program);

/* The same for a file of `size` bytes that is in memory, at any address; it is only read, and not
 * needed afterwards. */
EARBIT_API earbit_status earbit_open_memory(const void* data, size_t size,
                                            earbit_program** program);

/* Frees a program that no thread runs any more, and the memory that it kept; null is allowed. */
EARBIT_API void earbit_close(earbit_program* program);

/* Values of a frame: the width of every hidden state.  0 for null. */
EARBIT_API int earbit_width(const earbit_program* program);

/* Hidden states: the encoder's input and the output of every layer.  0 for null. */
EARBIT_API int earbit_n_states(const earbit_program* program);

/* Frames that n_samples give, one per 20 ms; 0 when so many cannot be run, and earbit_error() says
 * why. */
EARBIT_API int64_t earbit_n_frames(const earbit_program* program, int64_t n_samples);

/* Runs on mono audio at 16 kHz, floats in [-1, 1], with up to n_threads threads; results depend
 * neither on how many nor on how the caller rounds, or whether it flushes denormal numbers to 0;
 * that is put back.  Writes the last hidden state, (frames, width) row by row, to `features`,
 * which has room for n_floats floats; they must be exactly frames * width. */
EARBIT_API earbit_status earbit_run(const earbit_program* program, const float* samples,
                                    int64_t n_samples, int n_threads, float* features,
                                    int64_t n_floats);

/* The same for all hidden states, (states, frames, width), the encoder's input first. */
EARBIT_API earbit_status earbit_run_states(const earbit_program* program, const float* samples,
                                           int64_t n_samples, int n_threads, float* features,
                                           int64_t n_floats);

/* Ends all runs of the program that have begun, on any thread, within a fraction of a second: they
 * return EARBIT_CANCELLED.  Later runs are not affected.  May be called by any thread and in a
 * signal handler; nothing happens for null. */
EARBIT_API void earbit_cancel(const earbit_program* program);

/* Kinds of heads, which `earbit export --head` packs, and the function that decodes each. */
typedef enum {
  EARBIT_NO_HEAD = 0,
  EARBIT_CLASS = 1,    /* one row of scores, a column per label: earbit_likeliest */
  EARBIT_SEQUENCE = 2, /* a row per frame, a column per symbol, the CTC blank first: earbit_text */
  EARBIT_VECTOR = 3,   /* one row without labels: earbit_embedding */
  EARBIT_SEGMENTS = 4  /* a row per frame, log odds of speech, a column per speaker:
                          earbit_segments */
} earbit_kind;

/* The kind of the head; EARBIT_NO_HEAD also for null. */
EARBIT_API earbit_kind earbit_head_kind(const earbit_program* program);

/* Labels of the head: classes of all slots, symbols or speakers.  0 without a head, for a vector
 * and for null. */
EARBIT_API int earbit_n_labels(const earbit_program* program);

/* Label i, UTF-8, as long as the program is open; null when i is not below earbit_n_labels, and
 * earbit_error() says so. */
EARBIT_API const char* earbit_label(const earbit_program* program, int i);

/* Slots of a head of classes: the clip has one label of each.  0 for other kinds. */
EARBIT_API int earbit_n_slots(const earbit_program* program);

/* Labels of a slot; labels of the slots follow each other.  0 for a slot that is not there. */
EARBIT_API int earbit_slot_size(const earbit_program* program, int slot);

/* The probability below which the program rejects a label; 0 if it rejects none. */
EARBIT_API double earbit_threshold(const earbit_program* program);

/* Columns of the head's values; 0 without a head and for null. */
EARBIT_API int earbit_head_width(const earbit_program* program);

/* Rows of the head's values for n_samples: 1 for a class or a vector, else one per frame.  0 when
 * so many samples cannot be run (a head may need more than one frame), and earbit_error() says
 * why. */
EARBIT_API int64_t earbit_head_rows(const earbit_program* program, int64_t n_samples);

/* Runs the model and its head, and writes the head's values, (rows, width) row by row, to `scores`,
 * which has room for n_floats floats; they must be exactly rows * width.  The functions below run
 * the model too, and decode these values. */
EARBIT_API earbit_status earbit_scores(const earbit_program* program, const float* samples,
                                       int64_t n_samples, int n_threads, float* scores,
                                       int64_t n_floats);

#define EARBIT_THRESHOLD_OF_PROGRAM (-1.0)
#define EARBIT_REJECTED (-1)

/* The likeliest label of each of n_slots slots, which must be earbit_n_slots: writes its number for
 * earbit_label to `labels` and its probability to `probabilities`, unless that is null.  A label
 * whose probability is below `threshold` is EARBIT_REJECTED: no keyword was spoken.  threshold: 0,
 * which rejects none, to below 1, for a head of one slot, or EARBIT_THRESHOLD_OF_PROGRAM. */
EARBIT_API earbit_status earbit_likeliest(const earbit_program* program, const float* samples,
                                          int64_t n_samples, int n_threads, double threshold,
                                          int* labels, double* probabilities, int n_slots);

/* Writes the vector of the audio, scaled to length 1, to `vector`; n_floats must be exactly
 * earbit_head_width.  The product of two vectors is their cosine. */
EARBIT_API earbit_status earbit_embedding(const earbit_program* program, const float* samples,
                                          int64_t n_samples, int n_threads, float* vector,
                                          int64_t n_floats);

/* Bytes that hold the text of any audio of n_samples; 0 as for earbit_head_rows. */
EARBIT_API int64_t earbit_text_size(const earbit_program* program, int64_t n_samples);

/* Writes the text of the audio by greedy CTC decoding, UTF-8 with a final 0, to `text`, which has
 * room for n_bytes bytes.  EARBIT_BAD_ARGUMENT and an empty text if it does not fit, and
 * earbit_error() says how many bytes it takes. */
EARBIT_API earbit_status earbit_text(const earbit_program* program, const float* samples,
                                     int64_t n_samples, int n_threads, char* text, int64_t n_bytes);

/* Speech of one speaker. */
typedef struct {
  double start_s;
  double end_s;
  int label; /* for earbit_label */
} earbit_segment;

/* Segments that hold those of any audio of n_samples; 0 as for earbit_head_rows. */
EARBIT_API int64_t earbit_segments_size(const earbit_program* program, int64_t n_samples);

/* Writes the segments of the audio, by label and time, to `segments`, which has room for n_segments
 * of them, and their number to *n_found.  threshold: probability from which a frame counts as
 * speech, usually 0.5; window: frames of the median filter, odd, usually 11.  If they do not fit,
 * writes only *n_found and returns EARBIT_BAD_ARGUMENT. */
EARBIT_API earbit_status earbit_segments(const earbit_program* program, const float* samples,
                                         int64_t n_samples, int n_threads, double threshold,
                                         int window, earbit_segment* segments, int64_t n_segments,
                                         int64_t* n_found);

/* Audio that arrives in pieces, for a program whose features do not need the whole clip.  All
 * results are those of the whole audio, bit for bit, for pieces of any sizes, and memory does not
 * grow with the audio as long as results are read.  Streams share an open program, which must stay
 * open; each may be used by one thread after another, and all at the same time. */
typedef struct earbit_stream earbit_stream;

/* Samples from the start of a frame to the last that its features follow from, at 16 kHz; 0 for a
 * program that needs the whole clip, and earbit_error() names the op. */
EARBIT_API int64_t earbit_latency(const earbit_program* program);

/* What a stream computes: features, what its head says, or the sum of both. */
#define EARBIT_STREAM_FRAMES 1
#define EARBIT_STREAM_SCORES 2

/* Opens a stream with up to n_threads threads, which few programs need.  window: frames of the last
 * audio that scores of a class or a vector are computed of, 50 for a second; other heads ignore it.
 * On success *stream is to be closed by earbit_stream_close, on failure it is null. */
EARBIT_API earbit_status earbit_stream_open(const earbit_program* program, int results,
                                            int64_t window, int n_threads, earbit_stream** stream);

/* Frees a stream that no thread uses any more; null is allowed. */
EARBIT_API void earbit_stream_close(earbit_stream* stream);

/* Adds mono audio at 16 kHz, floats in [-1, 1], at most EARBIT_MAX_SAMPLES at once.
 * EARBIT_BAD_ARGUMENT after earbit_stream_finish, and after a failure, EARBIT_CANCELLED among them:
 * the stream must be reset.  Audio that is not finite is refused and changes nothing. */
EARBIT_API earbit_status earbit_stream_accept(earbit_stream* stream, const float* samples,
                                              int64_t n_samples);

/* Ends the audio: computes the last frames, which waited for more. */
EARBIT_API earbit_status earbit_stream_finish(earbit_stream* stream);

/* Begins again with other audio.  Results that were not read are lost. */
EARBIT_API earbit_status earbit_stream_reset(earbit_stream* stream);

/* Frames since the last call of earbit_stream_frames; 0 for null. */
EARBIT_API int64_t earbit_stream_n_frames(const earbit_stream* stream);

/* Writes up to n_frames of them, (frames, width) row by row, to `features`, and how many to
 * *n_written; the others are for the next call. */
EARBIT_API earbit_status earbit_stream_frames(earbit_stream* stream, float* features,
                                              int64_t n_frames, int64_t* n_written);

/* Rows of scores that earbit_stream_scores has: 1 for a class or a vector as soon as there is
 * enough audio, else frames since the last call; 0 for null. */
EARBIT_API int64_t earbit_stream_n_scores(const earbit_stream* stream);

/* Writes up to n_rows rows of scores, (rows, earbit_head_width), and how many to *n_written.  A row
 * for a class or a vector is of the last `window` frames. */
EARBIT_API earbit_status earbit_stream_scores(earbit_stream* stream, float* scores, int64_t n_rows,
                                              int64_t* n_written);

/* Writes the text since the last call, UTF-8 with a final 0, from the rows of scores since then,
 * which are read by it.  The texts of all calls, joined, are that of the audio.  If n_bytes are too
 * few, writes an empty text and returns EARBIT_BAD_ARGUMENT, and the text is for the next call. */
EARBIT_API earbit_status earbit_stream_text(earbit_stream* stream, char* text, int64_t n_bytes);

/* What was wrong in the last call of this thread that failed, one line of UTF-8; valid until the
 * next call in this thread. */
EARBIT_API const char* earbit_error(void);

/* The version of the library, "major.minor.patch"; that of the package earbit for Python. */
EARBIT_API const char* earbit_version(void);

#ifdef __cplusplus
}
#endif

#endif
