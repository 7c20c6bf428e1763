/*
 * Runs jobs on the accelerator by its C driver, on VexRiscv in a LiteX system, and reports every number as a word.
 *
 * csr.h and mem.h are LiteX's; job.h says what lies where in memory.
 */
#include "csr.h"
#include "job.h"
#include "mem.h"
#include "soc.h"
#include "spikeloom_driver.h"

#define IRQ_MASK "0xBC0"
#define IRQ_PENDING "0xFC0"
#define TRAPPED 0xBADBAD00u

static volatile uint32_t *csr(uint32_t address) { return (volatile uint32_t *)address; }

static void report(uint32_t word) { *csr(CSR_CONSOLE_WORD_ADDR) = word; }

__attribute__((noreturn)) void finish(void);
void finish(void)
{
    for (;;) *csr(CSR_CONSOLE_FINISH_ADDR) = 1;
}

__attribute__((noreturn)) void trapped(uint32_t cause, uint32_t address);
void trapped(uint32_t cause, uint32_t address)
{
    report(TRAPPED);
    report(cause);
    report(address);
    finish();
}

/* Cycles, of LiteX's timer: the upper word comes first. */
static uint64_t now(void *context)
{
    (void)context;
    *csr(CSR_TIMER0_UPTIME_LATCH_ADDR) = 1;
    return (uint64_t)*csr(CSR_TIMER0_UPTIME_CYCLES_ADDR) << 32 | *csr(CSR_TIMER0_UPTIME_CYCLES_ADDR + 4u);
}

static bool interrupted(void)
{
    uint32_t pending;
    __asm__ volatile("csrr %0, " IRQ_PENDING : "=r"(pending));
    return pending >> SPIKELOOM_INTERRUPT & 1u;
}

/* Only the interrupt ends it: the processor stays off the bus, and a line that is not connected is noticed. */
static void wait(void *context, uint64_t left)
{
    const uint64_t begin = now(context);
    while (!interrupted() && now(context) - begin < left) {
        for (int pause = 0; pause < 100 && !interrupted(); pause++) {}
    }
}

/*
 * VexRiscv writes through its data cache, and sees what others have written only behind this. A cache in front of the
 * DRAM writes back what it held when it has been read full of something else.
 */
static void flush_caches(void)
{
    __asm__ volatile(".word 0x500F" ::: "memory");
#ifdef CONFIG_L2_SIZE
    for (uint32_t word = 0; word < 2u * CONFIG_L2_SIZE / 4u; word++) (void)((volatile uint32_t *)MAIN_RAM_BASE)[word];
#endif
}

static void report_result(const spikeloom_result *result, const int32_t *logits)
{
    report(result->prediction);
    report(result->cycles);
    report(result->error);
    report(result->descriptors);
    report(result->jobs);
    for (int index = 0; index < CLASSES; index++) report((uint32_t)logits[index]);
}

/* The whole system, by LiteX's pulse of one cycle, while the accelerator reads; the second time this is passed by. */
static void reset_in_mid_job(const spikeloom_device *device, const spikeloom_job *job)
{
    volatile uint32_t *const boots = (volatile uint32_t *)(MAIN_RAM_BASE + BOOTS);
    if (*boots != 0) return;
    *boots = 1;
    flush_caches();
    report(spikeloom_start(device, job));
    for (uint64_t begin = now(NULL); now(NULL) - begin < CYCLES_TO_RESET;) {}
    *csr(CSR_CTRL_RESET_ADDR) = 1u << CSR_CTRL_RESET_SOC_RST_OFFSET;
    for (;;) {}
}

int main(void)
{
    const spikeloom_device device = {.registers = (volatile uint32_t *)SPIKELOOM_BASE, .time = now, .wait = wait};
    const volatile uint32_t *const images = (const volatile uint32_t *)(MAIN_RAM_BASE + IMAGES);
    volatile uint32_t *const buffer = (volatile uint32_t *)(MAIN_RAM_BASE + BUFFER);
    const volatile uint8_t *const record = (const volatile uint8_t *)(MAIN_RAM_BASE + RECORD);
    const spikeloom_job job = {
        .program = MAIN_RAM_BASE + PROGRAM,
        .program_bytes = PROGRAM_BYTES,
        .image = MAIN_RAM_BASE + BUFFER,
        .record = MAIN_RAM_BASE + RECORD,
        .write_record = true,
    };
    spikeloom_status status;
    spikeloom_result result;
    spikeloom_layer layer;
    int32_t logits[CLASSES];

    __asm__ volatile("csrw " IRQ_MASK ", %0" ::"r"(1u << SPIKELOOM_INTERRUPT));
    report(spikeloom_check(&device));
    reset_in_mid_job(&device, &job);
    report(spikeloom_enable_interrupts(&device, SPIKELOOM_INTERRUPT_DONE));
    for (uint32_t image = 0; image < IMAGE_COUNT; image++) {
        for (uint32_t word = 0; word < IMAGE_WORDS; word++) buffer[word] = images[image * IMAGE_WORDS + word];
        flush_caches();
        (void)spikeloom_decode_record(record, &result, logits, CLASSES); /* the old one gets into the caches */
        const uint64_t begin = now(NULL);
        report(spikeloom_start(&device, &job));
        report(spikeloom_wait(&device, TIMEOUT, &status));
        report((uint32_t)(now(NULL) - begin));
        uint32_t happened;
        report(interrupted());
        report(spikeloom_take_interrupts(&device, &happened));
        report(happened);
        report(interrupted());
        report(spikeloom_read_result(&device, &result, logits, CLASSES));
        report_result(&result, logits);
        flush_caches();
        report(spikeloom_decode_record(record, &result, logits, CLASSES));
        report_result(&result, logits);
        for (uint32_t number = 0; number < LAYERS; number++) {
            report(spikeloom_read_layer(&device, number, &layer));
            for (int counter = 0; counter < (int)SPIKELOOM_PROFILE_LAYER_WORDS; counter++) {
                report(layer.counter[counter]);
            }
        }
    }
    return 0;
}
