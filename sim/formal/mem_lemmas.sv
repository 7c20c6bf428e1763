// What induction has to know of the memory's port besides its rules: how the accelerator's own state goes with what was
// seen there. It is proven with them.
//
// A wire whose name is a path is that signal, of the accelerator (dut) or of another instance in ports.sv.
`include "rule.svh"

module mem_lemmas (
    input aclk,
    input aresetn,
    input [39:0] m_axi_mem_araddr,
    input [7:0] m_axi_mem_arlen,
    input m_axi_mem_arvalid,
    input m_axi_mem_rready,
    input m_axi_mem_awvalid,
    input m_axi_mem_bready
);
    wire [3:0] \mem_rules.reads ;
    wire \mem_rules.write ;
    wire \mem_rules.complete ;
    wire [7:0] \mem_rules.write_beat ;
    wire [7:0] \mem_rules.write_length ;
    wire [3:0] \dut.axi_memory.under_way ;
    wire \dut.axi_memory.last_waiting ;
    wire \dut.job_control.memory_stop ;
    wire \dut.result_writer.writer.sending ;
    wire [$clog2(`LINE_BEATS)-1:0] \dut.result_writer.writer.beat ;
    wire [2:0] \dut.result_writer.fsm_state ;
    wire [3:0] \dut.result_writer.word ;

    // Reads.
    wire [3:0] asked = \mem_rules.reads ;
    wire [3:0] under_way = \dut.axi_memory.under_way ;
    wire last_waiting = !m_axi_mem_rready && \dut.axi_memory.last_waiting ;

    // A job that is abandoned, by a soft reset or an error.
    wire stop = \dut.job_control.memory_stop ;
    reg stop_before = 1;
    always @(posedge aclk) stop_before <= stop;

    // Lines of the record.
    localparam IDLE = 0, LINE = 1, READ = 2, WORD = 3, BEAT = 4, ANSWER = 5;  // states of hw/host/result_writer.py
    localparam WORDS = 16 / `LINE_BEATS;  // of a beat
    wire [2:0] state = \dut.result_writer.fsm_state ;
    wire [3:0] word = \dut.result_writer.word ;
    wire [7:0] beat = \dut.result_writer.writer.beat ;
    wire sending = \dut.result_writer.writer.sending ;
    wire complete = \mem_rules.complete ;
    wire [7:0] sent = \mem_rules.write_beat ;
    wire accepted = \mem_rules.write ;
    wire [7:0] length = \mem_rules.write_length ;
    wire write = m_axi_mem_awvalid || accepted;
    wire unsent = write && !complete;
    wire gathering = state == READ || state == WORD;

    always @(posedge aclk) if (aresetn) begin
        // What is on the address channel, valid or not, ends in the block of the longest burst that it begins in.
        `RULE(read_within_a_block, m_axi_mem_araddr / (`BITS / 8) % `BURST_BEATS + m_axi_mem_arlen < `BURST_BEATS)
        // A read is under way in the adapter until the core has taken its last beat, which may wait in a register.
        `RULE(reads_counted, under_way == {1'b0, asked} + last_waiting)
        `RULE(read_offered_where_there_is_room, under_way < `READS + !m_axi_mem_arvalid)
        // What an abandoned job has asked for is accepted as it comes, all of it before the next job's reads are offered.
        `RULE(stopped_reads_accepted, !stop_before || m_axi_mem_rready)
        `RULE(stopped_reads_ended, !stop_before || stop || asked == 0)
        // A line is asked for, gathered word by word, sent beat by beat, and answered.
        `RULE(write_answer_awaited_from_its_offer, m_axi_mem_bready == write)
        `RULE(write_sent_until_complete, sending == unsent)
        `RULE(write_beats_counted, beat == sent)
        `RULE(write_is_a_line, !accepted || length == `LINE_BEATS - 1)
        `RULE(write_begins_with_nothing_sent, unsent || beat == 0)
        `RULE(write_complete_is_a_write, write || !complete)
        `RULE(record_between_lines, (state == IDLE || state == LINE) == !write)
        `RULE(record_in_a_line, (gathering || state == BEAT) == unsent)
        `RULE(record_behind_a_line, (state == ANSWER) == (write && complete))
        `RULE(record_words_counted, !gathering || word / WORDS == beat)
        `RULE(record_beat_whole, state != BEAT || word == ((beat + 1) * WORDS) % 16)
    end
endmodule
