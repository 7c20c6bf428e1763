// Testbench of the accelerator: clock, host bus, watchdog and trace around it and an external memory, so that Python acts
// only between images.
//
// Plusargs: those of the external memory, +stall=<percent of cycles>, +stall_seed=<number>, +traces=<folder>.
// `MEMORY_BITS is the width of a beat, `BURST_BEATS and `READS are the longest read and how many may be under way.
module testbench;
    localparam int BITS = `MEMORY_BITS, BYTES = BITS / 8;

    // Driven by sim/testbench/bus.py and job.py.
    logic aresetn /*verilator public_flat_rw*/ = 0;
    logic armed /*verilator public_flat_rw*/ = 0;          // a job runs; it ends with `stop`
    logic [31:0] limit /*verilator public_flat_rw*/ = 0;   // watchdog, cycles
    logic tracing /*verilator public_flat_rw*/ = 0;        // write a trace while armed
    logic [31:0] image /*verilator public_flat_rw*/ = 0;   // names the trace
    logic [31:0] error_beat /*verilator public_flat_rw*/ = '1;  // the beat of this number since `armed` has an error
    logic write_error /*verilator public_flat_rw*/ = 0;    // every write has one
    logic [7:0] dead /*verilator public_flat_rw*/ = 0;     // channels (see `allowed`) that stand still for ever
    logic [31:0] dead_cycle /*verilator public_flat_rw*/ = 0;  // from this cycle of a job on
    // A register access begins when `bus_request` differs from `bus_answer`, and ends when they are equal.
    logic bus_request /*verilator public_flat_rw*/ = 0;
    logic bus_write /*verilator public_flat_rw*/ = 0;
    logic [13:0] bus_address /*verilator public_flat_rw*/ = 0;
    logic [31:0] bus_write_data /*verilator public_flat_rw*/ = 0;
    logic [3:0] bus_strobe /*verilator public_flat_rw*/ = 4'hF;
    logic transfer_request /*verilator public_flat_rw*/ = 0;  // see the external memory
    logic transfer_store /*verilator public_flat_rw*/ = 0;
    logic [31:0] transfer_beat /*verilator public_flat_rw*/ = 0;
    logic [31:0] transfer_beats /*verilator public_flat_rw*/ = 0;

    // Read by them.
    logic aclk /*verilator public_flat_rw*/ = 0;
    logic bus_answer /*verilator public_flat_rd*/ = 0;
    logic [31:0] bus_read_data /*verilator public_flat_rd*/ = 0;
    logic [1:0] bus_response /*verilator public_flat_rd*/ = 0;
    logic stop /*verilator public_flat_rd*/ = 0;
    logic timeout /*verilator public_flat_rd*/ = 0;
    logic [31:0] elapsed /*verilator public_flat_rd*/ = 0;
    wire [31:0] beats_read /*verilator public_flat_rd*/;  // delivered since `armed`
    wire out_of_range /*verilator public_flat_rd*/;
    wire [39:0] wrong_address /*verilator public_flat_rd*/;
    wire [8*40-1:0] mem_broken /*verilator public_flat_rd*/, ctrl_broken /*verilator public_flat_rd*/;
    wire transfer_answer /*verilator public_flat_rd*/;
    wire interrupt /*verilator public_flat_rd*/;

    always #5 aclk = ~aclk;

    int stall = 0;
    longint unsigned random = 1;
    string folder = ".";

    initial begin
        void'($value$plusargs("stall=%d", stall));
        void'($value$plusargs("stall_seed=%d", random));
        void'($value$plusargs("traces=%s", folder));
        threshold = 8'(stall * 256 / 100);
        random = random * 64'h9E3779B97F4A7C15 + 1;  // never 0, the fixed point of the generator
    end

    // Random stalls: every channel has its own byte of the generator. Compared, not divided: this runs in every cycle.
    wire [63:0] shifted = random ^ (random << 13), mix = shifted ^ (shifted >> 7);
    wire [7:0] allowed;
    logic [7:0] threshold = 0;
    for (genvar i = 0; i < 8; i++) assign allowed[i] = random[8*i+:8] >= threshold && !died[i];
    logic [7:0] died = 0;
    always_ff @(posedge aclk) died <= dead & (elapsed >= dead_cycle ? 8'hFF : died);
    always_ff @(posedge aclk) if (stall != 0) random <= mix ^ (mix << 17);  // xorshift64

    // The host's bus: one access at a time, address and data of a write in any order.
    logic [13:0] s_axi_ctrl_awaddr = 0, s_axi_ctrl_araddr = 0;
    logic s_axi_ctrl_awvalid = 0, s_axi_ctrl_wvalid = 0, s_axi_ctrl_bready = 0;
    logic s_axi_ctrl_arvalid = 0, s_axi_ctrl_rready = 0;
    logic [31:0] s_axi_ctrl_wdata = 0;
    logic [3:0] s_axi_ctrl_wstrb = 0;
    wire s_axi_ctrl_awready, s_axi_ctrl_wready, s_axi_ctrl_bvalid, s_axi_ctrl_arready, s_axi_ctrl_rvalid;
    wire [1:0] s_axi_ctrl_bresp, s_axi_ctrl_rresp;
    wire [31:0] s_axi_ctrl_rdata;
    logic bus_active = 0, address_left = 0, data_left = 0;

    always_ff @(posedge aclk) begin
        if (!bus_active) begin
            if (bus_request != bus_answer) begin
                bus_active <= 1;
                address_left <= 1;
                data_left <= bus_write;
            end
        end else if (bus_write) begin
            if (address_left && allowed[0]) begin
                s_axi_ctrl_awvalid <= 1;
                s_axi_ctrl_awaddr <= bus_address;
                address_left <= 0;
            end
            if (data_left && allowed[1]) begin
                s_axi_ctrl_wvalid <= 1;
                s_axi_ctrl_wdata <= bus_write_data;
                s_axi_ctrl_wstrb <= bus_strobe;
                data_left <= 0;
            end
        end else if (address_left && allowed[0]) begin
            s_axi_ctrl_arvalid <= 1;
            s_axi_ctrl_araddr <= bus_address;
            address_left <= 0;
        end
        s_axi_ctrl_bready <= allowed[2];
        s_axi_ctrl_rready <= allowed[2];
        if (s_axi_ctrl_awvalid && s_axi_ctrl_awready) s_axi_ctrl_awvalid <= 0;
        if (s_axi_ctrl_wvalid && s_axi_ctrl_wready) s_axi_ctrl_wvalid <= 0;
        if (s_axi_ctrl_arvalid && s_axi_ctrl_arready) s_axi_ctrl_arvalid <= 0;
        if ((s_axi_ctrl_bvalid && s_axi_ctrl_bready) || (s_axi_ctrl_rvalid && s_axi_ctrl_rready)) begin
            bus_active <= 0;
            bus_answer <= bus_request;
            bus_read_data <= s_axi_ctrl_rdata;
            bus_response <= bus_write ? s_axi_ctrl_bresp : s_axi_ctrl_rresp;
        end
    end

    wire m_axi_mem_arvalid, m_axi_mem_arready, m_axi_mem_arid, m_axi_mem_arlock;
    wire m_axi_mem_rvalid, m_axi_mem_rready, m_axi_mem_rid = 0, m_axi_mem_rlast;
    wire m_axi_mem_awvalid, m_axi_mem_awready, m_axi_mem_awid, m_axi_mem_awlock;
    wire m_axi_mem_wvalid, m_axi_mem_wready, m_axi_mem_wlast;
    wire m_axi_mem_bvalid, m_axi_mem_bready, m_axi_mem_bid = 0;
    wire [39:0] m_axi_mem_araddr, m_axi_mem_awaddr;
    wire [7:0] m_axi_mem_arlen, m_axi_mem_awlen;
    wire [2:0] m_axi_mem_arsize, m_axi_mem_awsize, m_axi_mem_arprot, m_axi_mem_awprot;
    wire [1:0] m_axi_mem_arburst, m_axi_mem_awburst, m_axi_mem_rresp, m_axi_mem_bresp;
    wire [3:0] m_axi_mem_arcache, m_axi_mem_awcache, m_axi_mem_arqos, m_axi_mem_awqos;
    wire [BITS-1:0] m_axi_mem_rdata, m_axi_mem_wdata;
    wire [BYTES-1:0] m_axi_mem_wstrb;

    external_memory #(.BITS(BITS)) external_memory (.*);

    // What AXI and the accelerator's documentation promise of these ports, see sim/axi_rules.
    wire mem_kept, ctrl_kept;
    axi4_master_rules #(.BITS(BITS), .BURST_BEATS(`BURST_BEATS), .READS(`READS)) mem_rules (
        .*, .kept(mem_kept), .broken(mem_broken)
    );
    axi4_lite_slave_rules ctrl_rules (.*, .kept(ctrl_kept), .broken(ctrl_broken));

    // Watchdog and end of a job.
    always_ff @(posedge aclk) begin
        elapsed <= armed && !stop ? elapsed + 1 : armed ? elapsed : 0;
        timeout <= armed && (timeout || (elapsed >= limit && !interrupt && !stop));
        stop <= armed && (stop || interrupt || timeout || out_of_range || !mem_kept || !ctrl_kept);
    end

    spikeloom dut (
        .*,
        .s_axi_ctrl_awprot(3'd0),
        .s_axi_ctrl_arprot(3'd0)
    );

    // One line per event: kind, layer, address fields, data; all in hexadecimal, so a kind's lines are equally long.
    int trace = 0;
    always_ff @(posedge aclk) begin
        if (tracing && trace == 0) trace = $fopen($sformatf("%s/trace_%0d.txt", folder, image), "w");
        if (!tracing && trace != 0) begin
            $fclose(trace);
            trace = 0;
        end
        if (trace != 0 && armed) begin
            if (dut.core.trace_neuron_valid)
                $fwrite(trace, "n %h %h\n", dut.core.trace_neuron_layer, dut.core.trace_neuron_data);
            if (dut.core.trace_spike_valid)
                $fwrite(trace, "s %h %h %h %h %h\n", dut.core.trace_spike_layer, dut.core.trace_spike_address,
                        dut.core.trace_spike_banks, dut.core.trace_spike_pieces, dut.core.trace_spike_data);
            if (dut.core.trace_residual_valid)
                $fwrite(trace, "r %h %h %h %h %h\n", dut.core.trace_residual_layer, dut.core.trace_residual_address,
                        dut.core.trace_residual_banks, dut.core.trace_residual_pieces, dut.core.trace_residual_data);
            if (dut.core.trace_token_valid)
                $fwrite(trace, "t %h %h %h %h %h\n", dut.core.trace_token_layer, dut.core.trace_token_value,
                        dut.core.trace_token_channel, dut.core.trace_token_chunk, dut.core.trace_token_data);
            if (dut.core.trace_logit_valid)
                $fwrite(trace, "l %h %h %h\n", dut.core.trace_logit_layer, dut.core.trace_logit_index,
                        dut.core.trace_logit_data);
        end
    end
endmodule
