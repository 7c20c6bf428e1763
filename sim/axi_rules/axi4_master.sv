// Rules of the AXI4 port through which the accelerator reads and writes memory, and of what it counts on there.
`include "rule.svh"

module axi4_master_rules #(
    parameter BITS = 64,         // width of a beat
    parameter BURST_BEATS = 64,  // beats of the longest read
    parameter READS = 8,         // reads under way at most, a power of two
    localparam BYTES = BITS / 8
) (
    input aclk,
    input aresetn,

    input m_axi_mem_arvalid,
    input m_axi_mem_arready,
    input m_axi_mem_arid,
    input [39:0] m_axi_mem_araddr,
    input [7:0] m_axi_mem_arlen,
    input [2:0] m_axi_mem_arsize,
    input [1:0] m_axi_mem_arburst,
    input m_axi_mem_arlock,
    input [3:0] m_axi_mem_arcache,
    input [2:0] m_axi_mem_arprot,
    input [3:0] m_axi_mem_arqos,

    input m_axi_mem_rvalid,
    input m_axi_mem_rready,
    input m_axi_mem_rid,
    input [BITS-1:0] m_axi_mem_rdata,
    input [1:0] m_axi_mem_rresp,
    input m_axi_mem_rlast,

    input m_axi_mem_awvalid,
    input m_axi_mem_awready,
    input m_axi_mem_awid,
    input [39:0] m_axi_mem_awaddr,
    input [7:0] m_axi_mem_awlen,
    input [2:0] m_axi_mem_awsize,
    input [1:0] m_axi_mem_awburst,
    input m_axi_mem_awlock,
    input [3:0] m_axi_mem_awcache,
    input [2:0] m_axi_mem_awprot,
    input [3:0] m_axi_mem_awqos,

    input m_axi_mem_wvalid,
    input m_axi_mem_wready,
    input [BITS-1:0] m_axi_mem_wdata,
    input [BYTES-1:0] m_axi_mem_wstrb,
    input m_axi_mem_wlast,

    input m_axi_mem_bvalid,
    input m_axi_mem_bready,
    input m_axi_mem_bid,
    input [1:0] m_axi_mem_bresp,

    output reg kept,              // all rules, since the reset
    output reg [8*40-1:0] broken  // the name of one that is not, or 0
);
    localparam [2:0] SIZE = $clog2(BYTES);
    localparam [1:0] INCR = 1, EXOKAY = 1;
    localparam [3:0] BUFFERABLE_MODIFIABLE = 3;

    reg was_reset = 1;
    initial {kept, broken} = {1'b1, 320'd0};

    // What was offered in the last cycle and not accepted, and what it was.
    reg ar_held = 0, r_held = 0, aw_held = 0, w_held = 0, b_held = 0;
    reg [47:0] ar_before, aw_before;
    reg [BITS+2:0] r_before;
    reg [BITS+BYTES:0] w_before;
    reg [1:0] b_before;
    wire [47:0] ar_now = {m_axi_mem_arlen, m_axi_mem_araddr}, aw_now = {m_axi_mem_awlen, m_axi_mem_awaddr};
    wire [BITS+2:0] r_now = {m_axi_mem_rlast, m_axi_mem_rresp, m_axi_mem_rdata};
    wire [BITS+BYTES:0] w_now = {m_axi_mem_wlast, m_axi_mem_wstrb, m_axi_mem_wdata};

    // The rest of a request is the same in all of them: ID, size, kind, lock, cache, protection, quality of service.
    localparam [17:0] ORDINARY = {1'b0, SIZE, INCR, 1'b0, BUFFERABLE_MODIFIABLE, 3'd0, 4'd0};
    wire [17:0] ar_kind = {m_axi_mem_arid, m_axi_mem_arsize, m_axi_mem_arburst, m_axi_mem_arlock, m_axi_mem_arcache,
                           m_axi_mem_arprot, m_axi_mem_arqos};
    wire [17:0] aw_kind = {m_axi_mem_awid, m_axi_mem_awsize, m_axi_mem_awburst, m_axi_mem_awlock, m_axi_mem_awcache,
                           m_axi_mem_awprot, m_axi_mem_awqos};
    wire [12:0] ar_end = {1'b0, m_axi_mem_araddr[11:0]} + ({5'd0, m_axi_mem_arlen} + 13'd1) * BYTES;
    wire [12:0] aw_end = {1'b0, m_axi_mem_awaddr[11:0]} + ({5'd0, m_axi_mem_awlen} + 13'd1) * BYTES;

    // Reads under way: from their acceptance to that of their last beat. Their lengths, in order.
    reg [$clog2(READS):0] reads = 0;
    reg [$clog2(READS)-1:0] oldest = 0, newest = 0;
    reg [7:0] lengths[0:READS-1];
    reg [7:0] read_beat = 0;
    wire [7:0] read_length = lengths[oldest];
    wire read_accepted = m_axi_mem_arvalid && m_axi_mem_arready;
    wire beat_taken = m_axi_mem_rvalid && m_axi_mem_rready;
    wire read_ended = beat_taken && m_axi_mem_rlast;

    // The write under way: from the acceptance of its address to that of its answer.
    reg write = 0;
    reg complete = 0;         // all of its data was accepted, perhaps before its address
    reg [7:0] write_length = 0, write_beat = 0;
    wire write_accepted = m_axi_mem_awvalid && m_axi_mem_awready;
    wire beat_written = m_axi_mem_wvalid && m_axi_mem_wready;
    wire answer_taken = m_axi_mem_bvalid && m_axi_mem_bready;

    always @(posedge aclk) begin
        was_reset <= !aresetn;
        ar_held <= aresetn && m_axi_mem_arvalid && !m_axi_mem_arready;
        r_held <= aresetn && m_axi_mem_rvalid && !m_axi_mem_rready;
        aw_held <= aresetn && m_axi_mem_awvalid && !m_axi_mem_awready;
        w_held <= aresetn && m_axi_mem_wvalid && !m_axi_mem_wready;
        b_held <= aresetn && m_axi_mem_bvalid && !m_axi_mem_bready;
        ar_before <= ar_now;
        r_before <= r_now;
        aw_before <= aw_now;
        w_before <= w_now;
        b_before <= m_axi_mem_bresp;
        if (read_accepted) begin
            lengths[newest] <= m_axi_mem_arlen;
            newest <= newest + 1;
        end
        if (beat_taken) read_beat <= m_axi_mem_rlast ? 0 : read_beat + 1;
        if (read_ended) oldest <= oldest + 1;
        if (read_accepted != read_ended) reads <= read_accepted ? reads + 1 : reads - 1;
        if (write_accepted) begin
            write <= 1;
            write_length <= m_axi_mem_awlen;
        end
        if (beat_written) begin
            complete <= m_axi_mem_wlast;
            write_beat <= m_axi_mem_wlast ? 0 : write_beat + 1;
        end
        if (answer_taken) begin
            write <= 0;
            complete <= 0;
        end
        if (!aresetn) begin
            {reads, oldest, newest, read_beat, write, complete, write_beat} <= 0;
            kept <= 1;
            broken <= 0;
        end

        if (aresetn && kept) begin
            `RULE(nothing_offered_behind_reset, !was_reset || !(m_axi_mem_arvalid || m_axi_mem_awvalid || m_axi_mem_wvalid))

            `RULE(read_request_stays, !ar_held || (m_axi_mem_arvalid && ar_now == ar_before))
            if (m_axi_mem_arvalid) begin
                `RULE(read_of_whole_beats_in_order, ar_kind == ORDINARY)
                `RULE(read_address_aligned, m_axi_mem_araddr % BYTES == 0)
                `RULE(read_within_4_kb, ar_end <= 4096)
                `RULE(read_not_too_long, m_axi_mem_arlen < BURST_BEATS)
                `RULE(not_too_many_reads, reads < READS)
            end

            `RULE(write_request_stays, !aw_held || (m_axi_mem_awvalid && aw_now == aw_before))
            if (m_axi_mem_awvalid) begin
                `RULE(write_of_whole_beats_in_order, aw_kind == ORDINARY)
                `RULE(write_address_aligned, m_axi_mem_awaddr % BYTES == 0)
                `RULE(write_within_4_kb, aw_end <= 4096)
                `RULE(one_write_at_a_time, !write)
            end
            `RULE(write_data_stays, !w_held || (m_axi_mem_wvalid && w_now == w_before))
            if (m_axi_mem_wvalid) begin
                `RULE(no_write_data_before_its_address, write || m_axi_mem_awvalid)
                `RULE(no_write_data_behind_the_last, !complete)
                `RULE(wlast_on_the_last_beat, m_axi_mem_wlast == (write_beat == (write ? write_length : m_axi_mem_awlen)))
                `RULE(beats_written_whole_or_not, &m_axi_mem_wstrb || !(|m_axi_mem_wstrb))
            end
            `RULE(write_answer_awaited, !(write && complete) || m_axi_mem_bready)

            `GIVEN(memory_offers_nothing_behind_reset, !was_reset || !(m_axi_mem_rvalid || m_axi_mem_bvalid))
            `GIVEN(memory_read_data_stays, !r_held || (m_axi_mem_rvalid && r_now == r_before))
            if (m_axi_mem_rvalid) begin
                `GIVEN(memory_sends_what_was_asked_for, reads != 0)
                `GIVEN(memory_ends_reads_at_their_length, m_axi_mem_rlast == (read_beat == read_length))
                `GIVEN(memory_read_answer_ordinary, !m_axi_mem_rid && m_axi_mem_rresp != EXOKAY)
            end
            `GIVEN(memory_write_answer_stays, !b_held || (m_axi_mem_bvalid && m_axi_mem_bresp == b_before))
            if (m_axi_mem_bvalid) begin
                `GIVEN(memory_answers_complete_writes, write && complete)
                `GIVEN(memory_write_answer_ordinary, !m_axi_mem_bid && m_axi_mem_bresp != EXOKAY)
            end

            `REACHED(all_reads_under_way, reads == READS)
            `REACHED(longest_read_asked_for, read_accepted && m_axi_mem_arlen == BURST_BEATS - 1)
            `REACHED(read_of_several_beats, read_ended && read_length != 0)
            `REACHED(read_error, beat_taken && m_axi_mem_rresp[1])
            `REACHED(write_answered, answer_taken && !m_axi_mem_bresp[1])
            `REACHED(write_error, answer_taken && m_axi_mem_bresp[1])
        end
    end
endmodule
