// The accelerator with the rules at its ports, for proofs and for other people's models of a host and a memory.
`include "rule.svh"

module ports (
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
    output s_axi_ctrl_bvalid,
    input s_axi_ctrl_bready,
    input [13:0] s_axi_ctrl_araddr,
    input [2:0] s_axi_ctrl_arprot,
    input s_axi_ctrl_arvalid,
    output s_axi_ctrl_arready,
    output [31:0] s_axi_ctrl_rdata,
    output [1:0] s_axi_ctrl_rresp,
    output s_axi_ctrl_rvalid,
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
    input [`BITS-1:0] m_axi_mem_rdata,
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
    output [`BITS-1:0] m_axi_mem_wdata,
    output [`BITS/8-1:0] m_axi_mem_wstrb,
    output m_axi_mem_wlast,
    output m_axi_mem_wvalid,
    input m_axi_mem_wready,
    input m_axi_mem_bid,
    input [1:0] m_axi_mem_bresp,
    input m_axi_mem_bvalid,
    output m_axi_mem_bready,

    output interrupt,

    output mem_kept,  // all rules of the port, since the reset; the name of one that was not, see sim/axi_rules
    output ctrl_kept,
    output [8*40-1:0] mem_broken,
    output [8*40-1:0] ctrl_broken
);
    spikeloom dut (.*);
    axi4_master_rules #(.BITS(`BITS), .BURST_BEATS(`BURST_BEATS), .READS(`READS)) mem_rules (
        .*, .kept(mem_kept), .broken(mem_broken)
    );
    axi4_lite_slave_rules ctrl_rules (.*, .kept(ctrl_kept), .broken(ctrl_broken));
`ifdef FORMAL
    mem_lemmas mem_lemmas (.*);
    ctrl_lemmas ctrl_lemmas (.*);

    // All that is assumed besides: aresetn is low for as long as it has to be.
    reg [1:0] low = 0;
    always @(posedge aclk) begin
        low <= aresetn ? 0 : low == `RESET_CYCLES ? low : low + 1;
        `GIVEN(resets_are_long, !aresetn || low == 0 || low == `RESET_CYCLES)
    end
`endif
endmodule
