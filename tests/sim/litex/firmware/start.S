/* Where VexRiscv begins: a stack, traps that end the simulation, and nothing in writable memory to prepare. */
    .section .start, "ax"
    .globl _start
_start:
    la sp, stack_end
    la t0, trap
    csrw mtvec, t0
    jal main
    j finish

    .align 2
trap:
    csrr a0, mcause
    csrr a1, mepc
    j trapped
