// What induction has to know of the host's port besides its rules. It is proven with them.
//
// A wire whose name is a path is that signal, of the accelerator (dut) or of another instance in ports.sv.
`include "rule.svh"

module ctrl_lemmas (
    input aclk,
    input aresetn,
    input s_axi_ctrl_awready,
    input s_axi_ctrl_wready,
    input s_axi_ctrl_arready,
    input s_axi_ctrl_bvalid,
    input s_axi_ctrl_rvalid
);
    wire [1:0] \ctrl_rules.addresses ;
    wire [1:0] \ctrl_rules.words ;
    wire [1:0] \ctrl_rules.reads ;

    wire [1:0] addresses = \ctrl_rules.addresses ;
    wire [1:0] words = \ctrl_rules.words ;
    wire [1:0] reads = \ctrl_rules.reads ;

    // Behind a reset READY rises late.
    reg [1:0] cycles = 0;
    always @(posedge aclk) cycles <= !aresetn ? 0 : cycles == `RESET_LATENCY ? cycles : cycles + 1;

    // A request is taken as soon as the one before is answered.
    always @(posedge aclk) if (aresetn && cycles == `RESET_LATENCY) begin
        `RULE(address_taken_at_once, s_axi_ctrl_awready == (addresses == {1'b0, s_axi_ctrl_bvalid}))
        `RULE(word_taken_at_once, s_axi_ctrl_wready == (words == {1'b0, s_axi_ctrl_bvalid}))
        `RULE(read_taken_at_once, s_axi_ctrl_arready == (reads == {1'b0, s_axi_ctrl_rvalid}))
    end
endmodule
