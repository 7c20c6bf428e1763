// A device with the accelerator's ports, for the tests of the testbench: it reads bursts and keeps a checksum.
// Its program is 256 beats: beat 0 holds the number of bursts [7:0] and whether the device is a slow reader [8]; each
// following beat holds one burst as {length - 1 [39:32], first beat [31:0]}, relative to the image address. The bursts
// are requested as fast as they are accepted. PREDICTION counts the cycles between the first and the last beat of them.
// With RESULT_ENABLE it writes the checksum to the result address, in a burst of two beats.
// Bits [15:12] of beat 0 hold what it does wrong at the bus, the number of one of FAULTS in conftest.py, or 0.
module \spikeloom.core (
    input clk,
    input rst,
    input start,
    input record,
    input [39:0] program_address,
    input [39:0] image_address,
    input [39:0] result_address,
    output busy,
    output done,
    output reg [3:0] fault,
    output reg [31:0] cycles,
    output reg [31:0] span,
    output reg [31:0] beats,
    output reg [63:0] checksum,
    output arvalid,
    input arready,
    output [39:0] araddr,
    output [7:0] arlen,
    input rvalid,
    output rready,
    input [63:0] rdata,
    output reg awvalid,
    input awready,
    output reg wvalid,
    input wready,
    output reg wlast,
    input bvalid
);
    localparam TOO_LONG = 1, UNALIGNED = 2, EARLY_LAST = 4, RESTLESS_ADDRESS = 6, EARLY_OFFER = 7;
    localparam IDLE = 0, FETCH = 1, LOAD = 2, RUN = 3, WRITE = 4, DONE = 5;
    reg [2:0] state;
    reg [63:0] program_beats [0:255];
    reg [8:0] loaded;
    reg [7:0] issued, count;
    reg slow, started;
    reg [31:0] expected;

    assign busy = state != IDLE && state != DONE;
    assign done = state == DONE;
    wire [7:0] next_burst = issued + 1;
    wire [63:0] burst = program_beats[next_burst];
    wire issue = state == RUN && issued != count;
    assign arvalid = state == FETCH || issue;
    wire [31:0] first = fault == RESTLESS_ADDRESS ? {burst[31:1], burst[0] ^ cycles[0]} : burst[31:0];
    assign araddr = issue ? image_address + {5'd0, first, fault == UNALIGNED, 2'd0} : program_address;
    assign arlen = issue && fault != TOO_LONG ? burst[39:32] : 8'd255;
    assign rready = !slow || (cycles[1:0] == 0);

    // Every beat of a burst is traced as a neuron word; the end of the job as one event of each other kind.
    wire beat = rvalid && rready;
    wire last = state == RUN && issued == count && beats == expected;
    wire [7:0] trace_neuron_layer = issued, trace_spike_layer = issued, trace_residual_layer = issued;
    wire [7:0] trace_token_layer = issued, trace_logit_layer = issued;
    wire trace_spike_pieces = 1'b1, trace_residual_pieces = 1'b1;
    wire trace_neuron_valid = beat && state == RUN;
    wire [63:0] trace_neuron_data = rdata;
    wire trace_spike_valid = last;
    wire [19:0] trace_spike_address = beats[19:0];
    wire [1:0] trace_spike_banks = 2'b10;
    wire [63:0] trace_spike_data = checksum;
    wire trace_residual_valid = last;
    wire [19:0] trace_residual_address = ~beats[19:0];
    wire [1:0] trace_residual_banks = 2'b11;
    wire [63:0] trace_residual_data = ~checksum;
    wire trace_token_valid = last;
    wire trace_token_value = 1'b1;
    wire [11:0] trace_token_channel = beats[11:0];
    wire [7:0] trace_token_chunk = 8'h5a;
    wire [127:0] trace_token_data = {checksum, ~checksum};
    wire trace_logit_valid = last;
    wire [7:0] trace_logit_index = count;
    wire [31:0] trace_logit_data = ~beats;

    always @(posedge clk) begin
        if (busy) cycles <= cycles + 1;
        if (started) span <= span + 1;
        case (state)
            FETCH: if (arready) state <= LOAD;
            LOAD: if (beat) begin
                program_beats[loaded[7:0]] <= rdata;
                loaded <= loaded + 1;
                if (loaded == 0) {fault, slow, count} <= {rdata[15:12], rdata[8:0]};
                if (loaded == 255) state <= RUN;
            end
            RUN: begin
                if (issue && arready) begin
                    issued <= issued + 1;
                    expected <= expected + {24'd0, burst[39:32]} + 1;
                end
                if (beat) begin
                    started <= !(issued == count && beats + 1 == expected);
                    beats <= beats + 1;
                    checksum <= {checksum[62:0], checksum[63]} ^ rdata;
                end
                if (last) begin
                    state <= record ? WRITE : DONE;
                    {awvalid, wvalid, wlast} <= {record, record, 1'b0};
                end
            end
            WRITE: begin
                if (awready) awvalid <= 0;
                if (wready && wvalid) {wvalid, wlast} <= fault == EARLY_LAST ? {1'b1, wlast} : {!wlast, 1'b1};
                if (bvalid) state <= DONE;
            end
            default: ;
        endcase
        if (start) begin
            state <= FETCH;
            {loaded, issued, cycles, span, beats, expected, checksum, started, slow, fault} <= 0;
        end
        if (rst) {state, awvalid, wvalid} <= {3'd0, fault == EARLY_OFFER, 1'b0};
    end
endmodule

module spikeloom (
    input aclk,
    input aresetn,
    input [13:0] s_axi_ctrl_awaddr,
    input [2:0] s_axi_ctrl_awprot,
    input s_axi_ctrl_awvalid,
    output s_axi_ctrl_awready,
    input [31:0] s_axi_ctrl_wdata,
    input [3:0] s_axi_ctrl_wstrb,
    input s_axi_ctrl_wvalid,
    output s_axi_ctrl_wready,
    output [1:0] s_axi_ctrl_bresp,
    output reg s_axi_ctrl_bvalid,
    input s_axi_ctrl_bready,
    input [13:0] s_axi_ctrl_araddr,
    input [2:0] s_axi_ctrl_arprot,
    input s_axi_ctrl_arvalid,
    output s_axi_ctrl_arready,
    output reg [31:0] s_axi_ctrl_rdata,
    output [1:0] s_axi_ctrl_rresp,
    output reg s_axi_ctrl_rvalid,
    input s_axi_ctrl_rready,
    output m_axi_mem_arid,
    output [39:0] m_axi_mem_araddr,
    output [7:0] m_axi_mem_arlen,
    output [2:0] m_axi_mem_arsize,
    output [1:0] m_axi_mem_arburst,
    output m_axi_mem_arlock,
    output [3:0] m_axi_mem_arcache,
    output [2:0] m_axi_mem_arprot,
    output [3:0] m_axi_mem_arqos,
    output m_axi_mem_arvalid,
    input m_axi_mem_arready,
    input m_axi_mem_rid,
    input [63:0] m_axi_mem_rdata,
    input [1:0] m_axi_mem_rresp,
    input m_axi_mem_rlast,
    input m_axi_mem_rvalid,
    output m_axi_mem_rready,
    output m_axi_mem_awid,
    output [39:0] m_axi_mem_awaddr,
    output [7:0] m_axi_mem_awlen,
    output [2:0] m_axi_mem_awsize,
    output [1:0] m_axi_mem_awburst,
    output m_axi_mem_awlock,
    output [3:0] m_axi_mem_awcache,
    output [2:0] m_axi_mem_awprot,
    output [3:0] m_axi_mem_awqos,
    output m_axi_mem_awvalid,
    input m_axi_mem_awready,
    output [63:0] m_axi_mem_wdata,
    output [7:0] m_axi_mem_wstrb,
    output m_axi_mem_wlast,
    output m_axi_mem_wvalid,
    input m_axi_mem_wready,
    input m_axi_mem_bid,
    input [1:0] m_axi_mem_bresp,
    input m_axi_mem_bvalid,
    output m_axi_mem_bready,
    output interrupt
);
    localparam [31:0] CONFIG = 32'h00000000;  // both filled in by conftest.py
    localparam [31:0] VERSION = 32'd0;
    localparam FIXED = 3, RESTLESS_DATA = 5, SECOND_ANSWER = 8;

    reg [31:0] program_low, program_high, image_low, image_high, result_low, result_high;
    reg record, pending, answered;
    wire busy, done;
    wire [31:0] cycles, span, beats;
    wire [63:0] checksum;
    wire [3:0] fault;
    wire write = s_axi_ctrl_awvalid && s_axi_ctrl_wvalid && !s_axi_ctrl_bvalid;
    wire start = write && s_axi_ctrl_awaddr == 14'h00C && s_axi_ctrl_wdata[0] && !busy;
    assign {s_axi_ctrl_awready, s_axi_ctrl_wready} = {write, write};
    assign s_axi_ctrl_arready = !s_axi_ctrl_rvalid;
    assign {s_axi_ctrl_bresp, s_axi_ctrl_rresp} = 0;
    assign {m_axi_mem_arid, m_axi_mem_arlock, m_axi_mem_arprot, m_axi_mem_arqos} = 0;
    assign {m_axi_mem_awid, m_axi_mem_awlock, m_axi_mem_awprot, m_axi_mem_awqos} = 0;
    assign {m_axi_mem_arcache, m_axi_mem_awcache} = {4'd3, 4'd3};
    assign {m_axi_mem_arsize, m_axi_mem_awsize, m_axi_mem_awburst} = {3'd3, 3'd3, 2'd1};
    assign m_axi_mem_arburst = fault == FIXED ? 2'd0 : 2'd1;
    assign {m_axi_mem_awlen, m_axi_mem_wstrb, m_axi_mem_bready} = {8'd1, 8'hff, 1'b1};
    assign m_axi_mem_awaddr = {result_high[7:0], result_low};
    assign m_axi_mem_wdata = (fault == RESTLESS_DATA ? cycles[0] : m_axi_mem_wlast) ? ~checksum : checksum;
    assign interrupt = done && pending;

    \spikeloom.core core (
        .clk(aclk), .rst(!aresetn), .start(start), .record(record), .busy(busy), .done(done), .cycles(cycles),
        .program_address({program_high[7:0], program_low}), .image_address({image_high[7:0], image_low}),
        .result_address({result_high[7:0], result_low}), .span(span), .beats(beats), .checksum(checksum), .fault(fault),
        .arvalid(m_axi_mem_arvalid), .arready(m_axi_mem_arready), .araddr(m_axi_mem_araddr),
        .arlen(m_axi_mem_arlen), .rvalid(m_axi_mem_rvalid), .rready(m_axi_mem_rready), .rdata(m_axi_mem_rdata),
        .awvalid(m_axi_mem_awvalid), .awready(m_axi_mem_awready), .wvalid(m_axi_mem_wvalid),
        .wready(m_axi_mem_wready), .wlast(m_axi_mem_wlast), .bvalid(m_axi_mem_bvalid)
    );

    always @(posedge aclk) begin
        if (s_axi_ctrl_rready) s_axi_ctrl_rvalid <= 0;
        if (s_axi_ctrl_arvalid && s_axi_ctrl_arready) begin
            s_axi_ctrl_rvalid <= 1;
            case (s_axi_ctrl_araddr)
                14'h000: s_axi_ctrl_rdata <= 32'h53504B4C;
                14'h004: s_axi_ctrl_rdata <= VERSION;
                14'h008: s_axi_ctrl_rdata <= CONFIG;
                14'h010: s_axi_ctrl_rdata <= {30'd0, done, busy};
                14'h01C: s_axi_ctrl_rdata <= {31'd0, done && pending};
                14'h044: s_axi_ctrl_rdata <= span;
                14'h048: s_axi_ctrl_rdata <= cycles;
                14'h04C: s_axi_ctrl_rdata <= VERSION;
                14'h1000: s_axi_ctrl_rdata <= checksum[31:0];
                14'h1004: s_axi_ctrl_rdata <= checksum[63:32];
                14'h1008: s_axi_ctrl_rdata <= ~beats;
                default: s_axi_ctrl_rdata <= s_axi_ctrl_araddr[13] ? {18'd0, s_axi_ctrl_araddr} : 0;
            endcase
        end
        answered <= s_axi_ctrl_bvalid && s_axi_ctrl_bready && !answered;
        if (s_axi_ctrl_bready) s_axi_ctrl_bvalid <= fault == SECOND_ANSWER && s_axi_ctrl_bvalid && !answered;
        if (write) begin
            s_axi_ctrl_bvalid <= 1;
            case (s_axi_ctrl_awaddr)
                14'h01C: pending <= pending & ~s_axi_ctrl_wdata[0];
                14'h020: program_low <= s_axi_ctrl_wdata;
                14'h024: program_high <= s_axi_ctrl_wdata;
                14'h030: image_low <= s_axi_ctrl_wdata;
                14'h034: image_high <= s_axi_ctrl_wdata;
                14'h038: result_low <= s_axi_ctrl_wdata;
                14'h03C: result_high <= s_axi_ctrl_wdata;
                14'h040: record <= s_axi_ctrl_wdata[0];
                default: ;
            endcase
        end
        if (start) pending <= 1;
        if (!aresetn) {s_axi_ctrl_rvalid, s_axi_ctrl_bvalid, pending} <= 0;
    end
endmodule
