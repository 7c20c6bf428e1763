/* See spikeloom_driver.h. */
#include "spikeloom_driver.h"

#define BEAT_BYTES (SPIKELOOM_MEMORY_BITS / 8u)

/* Leave the function with the outcome of a step that did not succeed. */
#define TRY(step)                                                                                                      \
    do {                                                                                                               \
        const spikeloom_outcome outcome_ = (step);                                                                     \
        if (outcome_ != SPIKELOOM_OK) return outcome_;                                                                 \
    } while (0)

/* Memory is little-endian for the accelerator, whatever the host is. */
static uint32_t read_word(const volatile uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static spikeloom_outcome read_register(const spikeloom_device *device, uint32_t address, uint32_t *value)
{
    if (device->read == NULL) {
        *value = device->registers[address / 4u];
        return SPIKELOOM_OK;
    }
    return device->read(device->context, address, value) ? SPIKELOOM_OK : SPIKELOOM_BUS_FAILED;
}

static spikeloom_outcome write_register(const spikeloom_device *device, uint32_t address, uint32_t value)
{
    if (device->write == NULL) {
        device->registers[address / 4u] = value;
        return SPIKELOOM_OK;
    }
    return device->write(device->context, address, value) ? SPIKELOOM_OK : SPIKELOOM_BUS_FAILED;
}

static spikeloom_outcome expect(
    const spikeloom_device *device, uint32_t address, uint32_t expected, spikeloom_outcome otherwise
)
{
    uint32_t value;
    TRY(read_register(device, address, &value));
    return value == expected ? SPIKELOOM_OK : otherwise;
}

spikeloom_outcome spikeloom_check(const spikeloom_device *device)
{
    const bool functions = device->read != NULL && device->write != NULL;
    const bool mapped = device->registers != NULL && device->read == NULL && device->write == NULL;
    if (device->time == NULL || !(functions || mapped)) return SPIKELOOM_BAD_ARGUMENT;
    TRY(expect(device, SPIKELOOM_IDENTITY, SPIKELOOM_IDENTITY_VALUE, SPIKELOOM_NO_DEVICE));
    TRY(expect(device, SPIKELOOM_VERSION, SPIKELOOM_VERSION_VALUE, SPIKELOOM_OTHER_VERSION));
    return expect(device, SPIKELOOM_CONFIG, SPIKELOOM_CONFIG_VALUE, SPIKELOOM_OTHER_CONFIG);
}

/* A register that answers with an error while a job is busy is not read then: mapped, that would stop the processor. */
static spikeloom_outcome require_idle(const spikeloom_device *device)
{
    uint32_t status;
    TRY(read_register(device, SPIKELOOM_STATUS, &status));
    return (status & SPIKELOOM_STATUS_BUSY) == 0u ? SPIKELOOM_OK : SPIKELOOM_STILL_BUSY;
}

spikeloom_outcome spikeloom_check_program(const volatile uint8_t *program, uint32_t program_bytes)
{
    if (program_bytes < SPIKELOOM_PROGRAM_HEADER_BYTES + SPIKELOOM_PROGRAM_CRC_BYTES ||
        read_word(program) != SPIKELOOM_PROGRAM_BEGIN ||
        read_word(program + SPIKELOOM_PROGRAM_LENGTH_OFFSET) != program_bytes) {
        return SPIKELOOM_NO_PROGRAM;
    }
    const uint32_t end = program_bytes - SPIKELOOM_PROGRAM_CRC_BYTES;
    uint32_t remainder = 0xFFFFFFFFu;
    for (uint32_t index = 0; index < end; index++) {
        remainder ^= program[index];
        for (int bit = 0; bit < 8; bit++) {
            remainder = remainder >> 1 ^ ((remainder & 1u) != 0u ? SPIKELOOM_PROGRAM_CRC_POLYNOMIAL : 0u);
        }
    }
    return (remainder ^ 0xFFFFFFFFu) == read_word(program + end) ? SPIKELOOM_OK : SPIKELOOM_PROGRAM_DAMAGED;
}

spikeloom_outcome spikeloom_set_watchdog(const spikeloom_device *device, uint32_t cycles)
{
    return write_register(device, SPIKELOOM_WATCHDOG, cycles);
}

/* `unit` is a power of two; a division of 64 bits would be a function of the compiler's library on small processors. */
static bool is_address(uint64_t address, uint32_t unit)
{
    return (address & (unit - 1u)) == 0u && address >> SPIKELOOM_ADDRESS_BITS == 0u;
}

static spikeloom_outcome check_job(const spikeloom_job *job)
{
    const bool valid = is_address(job->program, BEAT_BYTES) && is_address(job->image, BEAT_BYTES) &&
                       (!job->write_record || is_address(job->record, SPIKELOOM_RECORD_LINE_BYTES));
    return valid ? SPIKELOOM_OK : SPIKELOOM_BAD_ARGUMENT;
}

static spikeloom_outcome write_address(
    const spikeloom_device *device, uint32_t low, uint32_t high, uint64_t address
)
{
    TRY(write_register(device, low, (uint32_t)(address & 0xFFFFFFFFu)));
    return write_register(device, high, (uint32_t)(address >> 32));
}

spikeloom_outcome spikeloom_start(const spikeloom_device *device, const spikeloom_job *job)
{
    TRY(check_job(job));
    TRY(require_idle(device));
    TRY(write_address(device, SPIKELOOM_PROGRAM_ADDRESS_LOW, SPIKELOOM_PROGRAM_ADDRESS_HIGH, job->program));
    TRY(write_register(device, SPIKELOOM_PROGRAM_BYTES, job->program_bytes));
    TRY(write_address(device, SPIKELOOM_IMAGE_ADDRESS_LOW, SPIKELOOM_IMAGE_ADDRESS_HIGH, job->image));
    if (job->write_record) {
        TRY(write_address(device, SPIKELOOM_RESULT_ADDRESS_LOW, SPIKELOOM_RESULT_ADDRESS_HIGH, job->record));
    }
    TRY(write_register(device, SPIKELOOM_RESULT_ENABLE, job->write_record ? 1u : 0u));
    return write_register(device, SPIKELOOM_CONTROL, SPIKELOOM_CONTROL_START);
}

static spikeloom_outcome until_idle(
    const spikeloom_device *device, uint64_t timeout, uint32_t *bits, spikeloom_status *status
)
{
    const uint64_t begin = device->time(device->context);
    for (;;) {
        /* Before the look: the last one is never older than the timeout. */
        const uint64_t waited = device->time(device->context) - begin;
        TRY(read_register(device, SPIKELOOM_STATUS, bits));
        if ((*bits & SPIKELOOM_STATUS_BUSY) == 0u) return SPIKELOOM_OK;
        if (waited >= timeout) break;
        if (device->wait != NULL) device->wait(device->context, timeout - waited);
    }
    if (status != NULL) TRY(spikeloom_read_status(device, status));
    return SPIKELOOM_TIMED_OUT;
}

spikeloom_outcome spikeloom_wait(const spikeloom_device *device, uint64_t timeout, spikeloom_status *status)
{
    uint32_t bits;
    TRY(until_idle(device, timeout, &bits, status));
    if ((bits & SPIKELOOM_STATUS_ERROR) == 0u) return SPIKELOOM_OK;
    if (status != NULL) TRY(spikeloom_read_status(device, status));
    return SPIKELOOM_JOB_FAILED;
}

spikeloom_outcome spikeloom_reset(const spikeloom_device *device, uint64_t timeout, spikeloom_status *status)
{
    uint32_t unused;
    TRY(write_register(device, SPIKELOOM_CONTROL, SPIKELOOM_CONTROL_RESET));
    TRY(until_idle(device, timeout, &unused, status));
    return spikeloom_take_interrupts(device, &unused);
}

spikeloom_outcome spikeloom_read_status(const spikeloom_device *device, spikeloom_status *status)
{
    TRY(read_register(device, SPIKELOOM_STATUS, &status->status));
    TRY(read_register(device, SPIKELOOM_ERROR, &status->error));
    TRY(read_register(device, SPIKELOOM_INTERRUPT_STATUS, &status->interrupts));
    TRY(read_register(device, SPIKELOOM_CYCLES, &status->cycles));
    TRY(read_register(device, SPIKELOOM_DESCRIPTORS, &status->descriptors));
    return read_register(device, SPIKELOOM_JOBS, &status->jobs);
}

spikeloom_outcome spikeloom_enable_interrupts(const spikeloom_device *device, uint32_t wanted)
{
    return write_register(device, SPIKELOOM_INTERRUPT_ENABLE, wanted);
}

spikeloom_outcome spikeloom_take_interrupts(const spikeloom_device *device, uint32_t *happened)
{
    TRY(read_register(device, SPIKELOOM_INTERRUPT_STATUS, happened));
    return write_register(device, SPIKELOOM_INTERRUPT_STATUS, *happened);
}

/* A 32-bit word as the signed number it holds; a cast of the upper half would be the compiler's choice. */
static int32_t as_signed(uint32_t word)
{
    return word <= 0x7FFFFFFFu ? (int32_t)word : -(int32_t)(0xFFFFFFFFu - word) - 1;
}

spikeloom_outcome spikeloom_read_result(
    const spikeloom_device *device, spikeloom_result *result, int32_t *logits, uint32_t classes
)
{
    if (classes > SPIKELOOM_LOGITS_WORDS) return SPIKELOOM_BAD_ARGUMENT;
    TRY(require_idle(device));
    TRY(read_register(device, SPIKELOOM_PREDICTION, &result->prediction));
    TRY(read_register(device, SPIKELOOM_CYCLES, &result->cycles));
    TRY(read_register(device, SPIKELOOM_ERROR, &result->error));
    TRY(read_register(device, SPIKELOOM_DESCRIPTORS, &result->descriptors));
    TRY(read_register(device, SPIKELOOM_JOBS, &result->jobs));
    for (uint32_t index = 0; index < classes; index++) {
        uint32_t word;
        TRY(read_register(device, SPIKELOOM_LOGITS + 4u * index, &word));
        logits[index] = as_signed(word);
    }
    return SPIKELOOM_OK;
}

spikeloom_outcome spikeloom_read_layer(const spikeloom_device *device, uint32_t layer, spikeloom_layer *counters)
{
    if (layer >= SPIKELOOM_PROFILE_LAYERS) return SPIKELOOM_BAD_ARGUMENT;
    TRY(require_idle(device));
    for (uint32_t index = 0; index < SPIKELOOM_PROFILE_LAYER_WORDS; index++) {
        const uint32_t word = layer * SPIKELOOM_PROFILE_LAYER_WORDS + index;
        TRY(read_register(device, SPIKELOOM_PROFILE + 4u * word, &counters->counter[index]));
    }
    return SPIKELOOM_OK;
}

spikeloom_outcome spikeloom_decode_record(
    const volatile uint8_t *record, spikeloom_result *result, int32_t *logits, uint32_t classes
)
{
    if (classes > SPIKELOOM_LOGITS_WORDS) return SPIKELOOM_BAD_ARGUMENT;
    /* First: it is written last, so where it is new, so is the rest. */
    result->jobs = read_word(record + 4u * SPIKELOOM_RECORD_JOB);
    result->prediction = read_word(record + 4u * SPIKELOOM_RECORD_PREDICTION);
    result->cycles = read_word(record + 4u * SPIKELOOM_RECORD_CYCLES);
    result->error = read_word(record + 4u * SPIKELOOM_RECORD_ERROR);
    result->descriptors = read_word(record + 4u * SPIKELOOM_RECORD_DESCRIPTORS);
    for (uint32_t index = 0; index < classes; index++) {
        logits[index] = as_signed(read_word(record + 4u * (SPIKELOOM_RECORD_LOGITS + index)));
    }
    return SPIKELOOM_OK;
}
