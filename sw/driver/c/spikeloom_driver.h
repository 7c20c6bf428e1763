/*
 * Driver of a Spikeloom for bare metal: start a job, wait for it, read what came out.
 *
 * C99 without an operating system, a library or allocation. The register map is spikeloom.h, which is generated with the
 * Verilog of a configuration: the two belong together, and spikeloom_check compares them with the device.
 *
 * Nothing here waits without an end, and nothing is kept between two calls: where there are several accelerators, there
 * are several spikeloom_device. Calls for one device must not overlap.
 */
#ifndef SPIKELOOM_DRIVER_H
#define SPIKELOOM_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spikeloom.h"

/* How a call ended. */
typedef enum {
    SPIKELOOM_OK = 0,
    SPIKELOOM_BAD_ARGUMENT,  /* a function or an address is missing, not aligned or too large; nothing was written */
    SPIKELOOM_NO_PROGRAM,    /* it begins with no header, or with one of another version or length: compile it again */
    SPIKELOOM_PROGRAM_DAMAGED, /* its CRC-32 is another one */
    SPIKELOOM_BUS_FAILED,    /* an access to a register was answered with an error */
    SPIKELOOM_NO_DEVICE,     /* IDENTITY reads something else: no Spikeloom at this address */
    SPIKELOOM_OTHER_VERSION, /* register map of another version than spikeloom.h */
    SPIKELOOM_OTHER_CONFIG,  /* built from another configuration than spikeloom.h */
    SPIKELOOM_STILL_BUSY,    /* a job runs: wait for it, or reset it */
    SPIKELOOM_TIMED_OUT,     /* still busy when the time was over: wait again, or reset it */
    SPIKELOOM_JOB_FAILED     /* the job ended with an error: see the status */
} spikeloom_outcome;

/*
 * An accelerator and how it is reached.
 *
 * Either `registers` is where they are mapped, or `read` and `write` reach one by its byte address and say whether that
 * succeeded. `time` is now, in any unit, from any beginning; it may wrap at 2^64. `wait`, which may be NULL, is called
 * between two looks at STATUS: it returns when the interrupt came, when it is worth looking again, or when `left` units
 * of time are over. `context` is handed to each of them.
 */
typedef struct {
    volatile uint32_t *registers;
    bool (*read)(void *context, uint32_t address, uint32_t *value);
    bool (*write)(void *context, uint32_t address, uint32_t value);
    uint64_t (*time)(void *context);
    void (*wait)(void *context, uint64_t left);
    void *context;
} spikeloom_device;

/* What a job is told. Addresses are bytes as the accelerator sees them, below 2^SPIKELOOM_ADDRESS_BITS. */
typedef struct {
    uint64_t program;       /* multiple of a beat, SPIKELOOM_MEMORY_BITS */
    uint64_t image;         /* packed; multiple of a beat */
    uint64_t record;        /* of the result record, a multiple of a line; looked at if write_record */
    uint32_t program_bytes; /* all of it, as in its header */
    bool write_record;
} spikeloom_job;

/* What the registers show that may be read at any time: where a job is, or hangs. */
typedef struct {
    uint32_t status;      /* SPIKELOOM_STATUS_... */
    uint32_t error;       /* SPIKELOOM_CAUSE_... */
    uint32_t interrupts;  /* pending ones, SPIKELOOM_INTERRUPT_... */
    uint32_t cycles;      /* of the job, so far */
    uint32_t descriptors; /* taken */
    uint32_t jobs;        /* ended since power-up */
} spikeloom_status;

/* What a job left, in registers or in its record. */
typedef struct {
    uint32_t prediction;  /* class with the largest logit */
    uint32_t cycles;
    uint32_t error;       /* SPIKELOOM_CAUSE_... */
    uint32_t descriptors;
    uint32_t jobs;        /* ended so far, this one included */
} spikeloom_result;

/* Counters of a layer, by SPIKELOOM_COUNTER_... */
typedef struct {
    uint32_t counter[SPIKELOOM_PROFILE_LAYER_WORDS];
} spikeloom_layer;

/* Whether the device is what spikeloom.h was written for; call it first. */
spikeloom_outcome spikeloom_check(const spikeloom_device *device);

/*
 * Whether a program is whole, as it lies in memory: header, length and CRC-32, eight steps for each of its bytes. The
 * accelerator checks the same as it reads.
 */
spikeloom_outcome spikeloom_check_program(const volatile uint8_t *program, uint32_t program_bytes);

/* After how many cycles without progress a job ends with an error, if memory does not answer; 0 for never. */
spikeloom_outcome spikeloom_set_watchdog(const spikeloom_device *device, uint32_t cycles);

/*
 * Start a job. Program and image must be in memory by then: flush the caches before. What has been started uses the
 * addresses of this call; those of the next job may be prepared meanwhile.
 */
spikeloom_outcome spikeloom_start(const spikeloom_device *device, const spikeloom_job *job);

/*
 * Wait until no job runs, for `timeout` units of time at most; with 0, look once. `status`, which may be NULL, is written
 * when the job has failed or still runs.
 */
spikeloom_outcome spikeloom_wait(const spikeloom_device *device, uint64_t timeout, spikeloom_status *status);

/*
 * Stop the job under way, if any, and clear pending interrupts; takes a few cycles, whatever memory does. What memory
 * still owes is waited for by the next job.
 */
spikeloom_outcome spikeloom_reset(const spikeloom_device *device, uint64_t timeout, spikeloom_status *status);

/* All that may be read at any time; changes nothing. */
spikeloom_outcome spikeloom_read_status(const spikeloom_device *device, spikeloom_status *status);

/* Choose what raises the interrupt, of SPIKELOOM_INTERRUPT_... */
spikeloom_outcome spikeloom_enable_interrupts(const spikeloom_device *device, uint32_t wanted);

/* What has happened since the last call, and clear that. */
spikeloom_outcome spikeloom_take_interrupts(const spikeloom_device *device, uint32_t *happened);

/* Outcome of a job that has ended, and the first `classes` of its logits. */
spikeloom_outcome spikeloom_read_result(
    const spikeloom_device *device, spikeloom_result *result, int32_t *logits, uint32_t classes
);

/* Counters of layer `layer` of a job that has ended. */
spikeloom_outcome spikeloom_read_layer(const spikeloom_device *device, uint32_t layer, spikeloom_layer *counters);

/* Size of a result record in bytes: its first line, and lines of logits. */
#define SPIKELOOM_RECORD_LINE_BYTES (4u * SPIKELOOM_RECORD_LINE_WORDS)
#define SPIKELOOM_RECORD_BYTES                                                                                         \
    (SPIKELOOM_RECORD_LINE_BYTES *                                                                                     \
     (1u + (SPIKELOOM_LOGITS_WORDS + SPIKELOOM_RECORD_LINE_WORDS - 1u) / SPIKELOOM_RECORD_LINE_WORDS))

/*
 * Take a record apart that lies in memory: invalidate the caches before. It is complete when `result->jobs` has become
 * the number of the job. At most SPIKELOOM_LOGITS_WORDS classes.
 */
spikeloom_outcome spikeloom_decode_record(
    const volatile uint8_t *record, spikeloom_result *result, int32_t *logits, uint32_t classes
);

#endif
