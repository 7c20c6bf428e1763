// Rules of the AXI4-Lite port through which a host reaches the registers, and of what the accelerator counts on there.
`include "rule.svh"

module axi4_lite_slave_rules #(
    parameter ANSWER_CYCLES = 9  // from the acceptance of a request, or of the answer before its own, to its answer
) (
    input aclk,
    input aresetn,

    input s_axi_ctrl_awvalid,
    input s_axi_ctrl_awready,
    input [13:0] s_axi_ctrl_awaddr,
    input s_axi_ctrl_wvalid,
    input s_axi_ctrl_wready,
    input [31:0] s_axi_ctrl_wdata,
    input [3:0] s_axi_ctrl_wstrb,
    input s_axi_ctrl_bvalid,
    input s_axi_ctrl_bready,
    input [1:0] s_axi_ctrl_bresp,
    input s_axi_ctrl_arvalid,
    input s_axi_ctrl_arready,
    input [13:0] s_axi_ctrl_araddr,
    input s_axi_ctrl_rvalid,
    input s_axi_ctrl_rready,
    input [31:0] s_axi_ctrl_rdata,
    input [1:0] s_axi_ctrl_rresp,

    output reg kept,              // all rules, since the reset
    output reg [8*40-1:0] broken  // the name of one that is not, or 0
);
    localparam [1:0] EXOKAY = 1;

    reg was_reset = 1;
    initial {kept, broken} = {1'b1, 320'd0};

    // What was offered in the last cycle and not accepted, and what it was.
    reg aw_held = 0, w_held = 0, b_held = 0, ar_held = 0, r_held = 0;
    reg [13:0] aw_before, ar_before;
    reg [35:0] w_before;
    reg [1:0] b_before;
    reg [33:0] r_before;
    wire [35:0] w_now = {s_axi_ctrl_wstrb, s_axi_ctrl_wdata};
    wire [33:0] r_now = {s_axi_ctrl_rresp, s_axi_ctrl_rdata};

    // Accepted, and their answer not: one may be answered while the next one waits.
    reg [1:0] addresses = 0, words = 0, reads = 0;
    wire address_accepted = s_axi_ctrl_awvalid && s_axi_ctrl_awready;
    wire word_accepted = s_axi_ctrl_wvalid && s_axi_ctrl_wready;
    wire read_accepted = s_axi_ctrl_arvalid && s_axi_ctrl_arready;
    wire write_ended = s_axi_ctrl_bvalid && s_axi_ctrl_bready;
    wire read_ended = s_axi_ctrl_rvalid && s_axi_ctrl_rready;

    // Cycles in which an answer is owed and not offered.
    reg [4:0] write_wait = 0, read_wait = 0;
    wire write_owed = addresses != 0 && words != 0;
    wire read_owed = reads != 0;

    always @(posedge aclk) begin
        was_reset <= !aresetn;
        aw_held <= aresetn && s_axi_ctrl_awvalid && !s_axi_ctrl_awready;
        w_held <= aresetn && s_axi_ctrl_wvalid && !s_axi_ctrl_wready;
        b_held <= aresetn && s_axi_ctrl_bvalid && !s_axi_ctrl_bready;
        ar_held <= aresetn && s_axi_ctrl_arvalid && !s_axi_ctrl_arready;
        r_held <= aresetn && s_axi_ctrl_rvalid && !s_axi_ctrl_rready;
        aw_before <= s_axi_ctrl_awaddr;
        w_before <= w_now;
        b_before <= s_axi_ctrl_bresp;
        ar_before <= s_axi_ctrl_araddr;
        r_before <= r_now;
        if (address_accepted != write_ended) addresses <= address_accepted ? addresses + 1 : addresses - 1;
        if (word_accepted != write_ended) words <= word_accepted ? words + 1 : words - 1;
        if (read_accepted != read_ended) reads <= read_accepted ? reads + 1 : reads - 1;
        write_wait <= write_owed && !s_axi_ctrl_bvalid ? write_wait + 1 : 0;
        read_wait <= read_owed && !s_axi_ctrl_rvalid ? read_wait + 1 : 0;
        if (!aresetn) begin
            {addresses, words, reads, write_wait, read_wait} <= 0;
            kept <= 1;
            broken <= 0;
        end

        if (aresetn && kept) begin
            `RULE(nothing_answered_behind_reset, !was_reset || !(s_axi_ctrl_bvalid || s_axi_ctrl_rvalid))
            `RULE(write_answer_stays, !b_held || (s_axi_ctrl_bvalid && s_axi_ctrl_bresp == b_before))
            `RULE(read_answer_stays, !r_held || (s_axi_ctrl_rvalid && r_now == r_before))
            `RULE(write_answered_once, !s_axi_ctrl_bvalid || (write_owed && s_axi_ctrl_bresp != EXOKAY))
            `RULE(read_answered_once, !s_axi_ctrl_rvalid || (read_owed && s_axi_ctrl_rresp != EXOKAY))
            `RULE(one_write_ahead, addresses <= 1 + s_axi_ctrl_bvalid && words <= 1 + s_axi_ctrl_bvalid)
            `RULE(one_read_ahead, reads <= 1 + s_axi_ctrl_rvalid)
            `RULE(write_answered_in_time, !write_owed || s_axi_ctrl_bvalid || write_wait + 1 < ANSWER_CYCLES)
            `RULE(read_answered_in_time, !read_owed || s_axi_ctrl_rvalid || read_wait + 1 < ANSWER_CYCLES)

            `GIVEN(host_write_address_stays, !aw_held || (s_axi_ctrl_awvalid && s_axi_ctrl_awaddr == aw_before))
            `GIVEN(host_write_data_stays, !w_held || (s_axi_ctrl_wvalid && w_now == w_before))
            `GIVEN(host_read_address_stays, !ar_held || (s_axi_ctrl_arvalid && s_axi_ctrl_araddr == ar_before))

            `REACHED(write_accepted_before_its_address, words != 0 && addresses == 0)
            `REACHED(next_write_waits, s_axi_ctrl_bvalid && addresses == 2 && words == 2)
            `REACHED(both_answered_at_once, s_axi_ctrl_bvalid && s_axi_ctrl_rvalid)
            `REACHED(write_refused, write_ended && s_axi_ctrl_bresp[1])
            `REACHED(read_refused, read_ended && s_axi_ctrl_rresp[1])
        end
    end
endmodule
