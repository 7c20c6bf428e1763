"""The device's end of the serial link: executes requests and answers them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.board.frame_receiver import FrameReceiver
from hw.board.frame_sender import FrameSender
from hw.board.link_protocol import (
    ANSWER,
    ANSWER_BYTES,
    CRC_BYTES,
    HEADER_BYTES,
    IDENTITY_WORDS,
    MAX_WORDS,
    WRITES,
    LinkStatus,
    Operation,
)
from hw.board.word_port import WordPort
from hw.host.registers import REGISTER_ADDRESS_BITS
from hw.parts.dual_port import dual_port_memory


class Link(wiring.Component):
    """Executes the requests of `hw.board.link_protocol`, one after the other.

    One memory holds the words of a request, then those of its answer. Beside its access a word takes six cycles at
    most, its four bytes on the wire at least 160.

    Parameters
    ----------
    memory_bytes : int
        Size of the memory, a multiple of 4.

    Members
    -------
    data : In(8), valid : In(1), error : In(1)
        From the receiver of bytes: one, or that one was damaged.
    output : Out(stream of 8)
        Bytes to send.
    identity, registers, memory : Out(WordPort)
        What requests address.
    frame, bad_frame : Out(1)
        Pulse: a request was whole; was dropped.
    """

    def __init__(self, memory_bytes: int):
        self._memory_bytes = memory_bytes
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "output": Out(stream.Signature(unsigned(8))),
                "identity": Out(WordPort()),
                "registers": Out(WordPort()),
                "memory": Out(WordPort()),
                "frame": Out(1),
                "bad_frame": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        read, write = dual_port_memory(m, name="words", width=8, depth=4 * MAX_WORDS + CRC_BYTES, written_first=True)
        m.d.comb += [
            receiver.data.eq(self.data),
            receiver.valid.eq(self.valid),
            receiver.error.eq(self.error),
            self.frame.eq(receiver.frame),
            self.bad_frame.eq(receiver.bad_frame),
            self.output.payload.eq(sender.output.payload),
            self.output.valid.eq(sender.output.valid),
            sender.output.ready.eq(self.output.ready),
        ]

        operation, tag, count = receiver.header[:8], receiver.header[8:16], receiver.header[48:]
        writes, refused = Signal(), Signal()
        m.d.comb += writes.eq(Cat(operation == one for one in WRITES).any())
        m.d.sync += refused.eq(self._refused(m, receiver, writes))  # the header has been there for long

        status = Signal(LinkStatus)
        last_tag, last_write = Signal(8), Signal()  # of the request before, whose status is still there
        address = Signal(32)
        left = Signal(range(MAX_WORDS + 1))
        pointer = Signal(range(4 * MAX_WORDS + 1))
        word = Signal(32)
        step = Signal(range(5))
        accessing = Signal()
        done, failed, got = self._access(m, operation, accessing, writes, address, word)

        answer = sender.input.payload
        words_follow = Signal()
        m.d.comb += [
            words_follow.eq(~writes & (status == LinkStatus.DONE)),
            read.en.eq(0),
            read.addr.eq(pointer),
            write.addr.eq(Mux(receiver.listening, receiver.write_address, pointer)),
            write.data.eq(Mux(receiver.listening, receiver.write_data, word[:8])),
            write.en.eq(receiver.write_enable),
        ]
        with m.FSM() as fsm:
            m.d.comb += [receiver.listening.eq(fsm.ongoing("LISTEN")), accessing.eq(fsm.ongoing("ACCESS"))]
            with m.State("LISTEN"), m.If(receiver.frame):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [address.eq(receiver.header[16:48]), left.eq(count), pointer.eq(0), step.eq(0)]
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(writes & last_write & (tag == last_tag)):
                    m.next = "ANSWER"
                with m.Else():
                    m.d.sync += [
                        last_tag.eq(tag), last_write.eq(writes & ~refused),
                        status.eq(Mux(refused, LinkStatus.REFUSED, LinkStatus.DONE)),
                    ]  # fmt: skip
                    with m.If(refused):
                        m.next = "ANSWER"
                    with m.Elif(writes):
                        m.next = "FETCH"
                    with m.Else():
                        m.next = "ACCESS"
            with m.State("FETCH"):
                m.d.comb += read.en.eq(step != 4)
                m.d.sync += step.eq(step + 1)
                with m.If(step != 0):
                    m.d.sync += word.eq(Cat(word[8:], read.data))
                with m.If(step != 4):
                    m.d.sync += pointer.eq(pointer + 1)
                with m.Else():
                    m.next = "ACCESS"
            with m.State("ACCESS"):
                m.d.sync += step.eq(0)
                with m.If(done):
                    m.d.sync += [address.eq(address + 4), left.eq(left - 1)]
                    with m.If(failed):
                        m.d.sync += status.eq(LinkStatus.ERROR)
                        m.next = "ANSWER"
                    with m.Elif(~writes):
                        m.d.sync += word.eq(got)
                        m.next = "STORE"
                    with m.Elif(left == 1):
                        m.next = "ANSWER"
                    with m.Else():
                        m.next = "FETCH"
            with m.State("STORE"):
                m.d.comb += write.en.eq(1)
                m.d.sync += [step.eq(step + 1), pointer.eq(pointer + 1), word.eq(word[8:])]
                with m.If(step == 3):
                    m.next = "ACCESS"
                    with m.If(left == 0):
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.sync += [
                    step.eq(0), pointer.eq(0), word.eq(Cat(operation | ANSWER, tag, status)),
                ]  # fmt: skip
                m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [
                    sender.input.valid.eq(1), answer.data.eq(word),
                    answer.last.eq((step == ANSWER_BYTES - 1) & ~words_follow),
                ]  # fmt: skip
                with m.If(sender.input.ready):
                    m.d.sync += [step.eq(step + 1), word.eq(word[8:])]
                    with m.If(step == ANSWER_BYTES - 1):
                        m.next = "LISTEN"
                        with m.If(words_follow):
                            m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += read.en.eq(1)
                m.d.sync += pointer.eq(pointer + 1)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [
                    sender.input.valid.eq(1), answer.data.eq(read.data), answer.last.eq(pointer == count << 2),
                ]  # fmt: skip
                with m.If(sender.input.ready):
                    m.next = "LOAD"
                    with m.If(answer.last):
                        m.next = "LISTEN"
        return m

    def _refused(self, m: Module, receiver: FrameReceiver, writes: Signal):
        """Whether the header asks for what is not there, or the frame has another length than it says."""
        operation, address, count = receiver.header[:8], receiver.header[16:48], receiver.header[48:]
        registers, words = 1 << REGISTER_ADDRESS_BITS - 2, self._memory_bytes // 4
        limit = Signal(30)
        with m.Switch(operation):
            for one, most in (
                (Operation.IDENTIFY, IDENTITY_WORDS),
                (Operation.READ_REGISTERS, registers),
                (Operation.WRITE_REGISTERS, registers),
                (Operation.READ_MEMORY, words),
                (Operation.WRITE_MEMORY, words),
            ):
                with m.Case(one):
                    m.d.comb += limit.eq(most)
        length = HEADER_BYTES + CRC_BYTES + Mux(writes, count << 2, 0)
        # An unknown operation has a limit of 0 words.
        return (
            address[:2].any() | (count == 0) | (count > MAX_WORDS) | (address[2:] + count > limit)
            | (receiver.length != length)
        )  # fmt: skip

    def _access(self, m: Module, operation, accessing: Signal, writes: Signal, address: Signal, word: Signal):
        """Ask the port that the operation means; returns whether it is done, has failed, and what was read."""
        done, failed, got = Signal(), Signal(), Signal(32)
        ports = {
            self.identity: (Operation.IDENTIFY,),
            self.registers: (Operation.READ_REGISTERS, Operation.WRITE_REGISTERS),
            self.memory: (Operation.READ_MEMORY, Operation.WRITE_MEMORY),
        }
        with m.Switch(operation):
            for port, operations in ports.items():
                m.d.comb += [port.write.eq(writes), port.address.eq(address), port.write_data.eq(word)]
                with m.Case(*operations):
                    m.d.comb += [
                        port.request.eq(accessing), done.eq(port.done), failed.eq(port.error), got.eq(port.read_data),
                    ]  # fmt: skip
        return done, failed, got
