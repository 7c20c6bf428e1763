// A host and a memory for the emitted Verilog in any simulator, in plain Verilog-2005: runs a program on an image, and
// shows what four-state logic makes of memories that were never written.
//
// Macros: `MEMORY_BITS, `BEATS of memory, `PROGRAM_BYTES, `IMAGE and `RECORD (byte addresses), `RECORD_WORDS (beats),
// `CLASSES, `COUNTERS and `CYCLE_LIMIT. Files: memory.hex is read; trace.txt, as by sim/testbench/testbench.sv, and results.txt
// are written, a line of name and hexadecimal value for each word that the host sees.
`timescale 1ns / 1ps

module four_state;
    localparam BITS = `MEMORY_BITS, BYTES = BITS / 8;

    reg aclk = 0, aresetn = 0;
    always #5 aclk = ~aclk;

    reg [BITS-1:0] memory [0:`BEATS-1];
    initial $readmemh("memory.hex", memory);

    // External memory: a burst at a time in either direction.
    wire m_axi_mem_arvalid, m_axi_mem_rready, m_axi_mem_awvalid, m_axi_mem_wvalid, m_axi_mem_wlast, m_axi_mem_bready;
    wire [39:0] m_axi_mem_araddr, m_axi_mem_awaddr;
    wire [7:0] m_axi_mem_arlen;
    wire [BITS-1:0] m_axi_mem_wdata;
    wire [BYTES-1:0] m_axi_mem_wstrb;
    reg reading = 0, writing = 0, m_axi_mem_bvalid = 0;
    reg [39:0] read_beat = 0, write_beat = 0;
    reg [7:0] read_left = 0;
    integer byte_;

    always @(posedge aclk) begin
        if (m_axi_mem_arvalid && !reading) begin
            reading <= 1;
            read_beat <= m_axi_mem_araddr / BYTES;
            read_left <= m_axi_mem_arlen;
        end
        if (reading && m_axi_mem_rready) begin
            read_beat <= read_beat + 1;
            read_left <= read_left - 1;
            reading <= read_left != 0;
        end
        if (m_axi_mem_awvalid && !writing && !m_axi_mem_bvalid) begin
            writing <= 1;
            write_beat <= m_axi_mem_awaddr / BYTES;
        end
        if (writing && m_axi_mem_wvalid) begin
            for (byte_ = 0; byte_ < BYTES; byte_ = byte_ + 1)
                if (m_axi_mem_wstrb[byte_]) memory[write_beat][8*byte_+:8] <= m_axi_mem_wdata[8*byte_+:8];
            write_beat <= write_beat + 1;
            writing <= !m_axi_mem_wlast;
            m_axi_mem_bvalid <= m_axi_mem_wlast;
        end
        if (m_axi_mem_bvalid && m_axi_mem_bready) m_axi_mem_bvalid <= 0;
    end

    // The host's registers.
    reg [13:0] s_axi_ctrl_awaddr = 0, s_axi_ctrl_araddr = 0;
    reg [31:0] s_axi_ctrl_wdata = 0;
    reg s_axi_ctrl_awvalid = 0, s_axi_ctrl_wvalid = 0, s_axi_ctrl_arvalid = 0;
    wire s_axi_ctrl_awready, s_axi_ctrl_wready, s_axi_ctrl_bvalid, s_axi_ctrl_arready, s_axi_ctrl_rvalid;
    wire [31:0] s_axi_ctrl_rdata;
    wire interrupt;

    task write(input [13:0] address, input [31:0] value);
        begin
            s_axi_ctrl_awaddr <= address;
            s_axi_ctrl_wdata <= value;
            s_axi_ctrl_awvalid <= 1;
            s_axi_ctrl_wvalid <= 1;
            @(posedge aclk);
            while (s_axi_ctrl_bvalid !== 1) begin
                if (s_axi_ctrl_awready) s_axi_ctrl_awvalid <= 0;
                if (s_axi_ctrl_wready) s_axi_ctrl_wvalid <= 0;
                @(posedge aclk);
            end
        end
    endtask

    integer results;
    task read(input [8*12-1:0] name, input [13:0] address);
        begin
            s_axi_ctrl_araddr <= address;
            s_axi_ctrl_arvalid <= 1;
            @(posedge aclk);
            while (s_axi_ctrl_rvalid !== 1) begin
                if (s_axi_ctrl_arready) s_axi_ctrl_arvalid <= 0;
                @(posedge aclk);
            end
            $fdisplay(results, "%0s %h", name, s_axi_ctrl_rdata);
        end
    endtask

    integer number, trace = 0;
    initial begin
        results = $fopen("results.txt", "w");
        repeat (5) @(posedge aclk);
        trace = $fopen("trace.txt", "w");
        aresetn <= 1;
        @(posedge aclk);
        write(14'h0018, 3);  // INTERRUPT_ENABLE
        write(14'h0028, `PROGRAM_BYTES);
        write(14'h0030, `IMAGE);
        write(14'h0038, `RECORD);
        write(14'h0040, 1);  // RESULT_ENABLE
        write(14'h000C, 1);  // CONTROL
        number = 0;
        while (interrupt !== 1 && number < `CYCLE_LIMIT) begin
            @(posedge aclk);
            number = number + 1;
        end
        $fclose(trace);
        trace = 0;
        read("status", 14'h0010);
        read("prediction", 14'h0044);
        read("cycles", 14'h0048);
        for (number = 0; number < `CLASSES; number = number + 1) read("logit", 14'h1000 + 4 * number);
        for (number = 0; number < `COUNTERS; number = number + 1) read("counter", 14'h2000 + 4 * number);
        for (number = 0; number < `RECORD_WORDS; number = number + 1)
            $fdisplay(results, "record %h", memory[`RECORD / BYTES + number]);
        $fclose(results);
        $finish;
    end

    spikeloom dut (
        .aclk(aclk),
        .aresetn(aresetn),
        .interrupt(interrupt),
        .s_axi_ctrl_awaddr(s_axi_ctrl_awaddr),
        .s_axi_ctrl_awprot(3'd0),
        .s_axi_ctrl_awvalid(s_axi_ctrl_awvalid),
        .s_axi_ctrl_awready(s_axi_ctrl_awready),
        .s_axi_ctrl_wdata(s_axi_ctrl_wdata),
        .s_axi_ctrl_wstrb(4'hF),
        .s_axi_ctrl_wvalid(s_axi_ctrl_wvalid),
        .s_axi_ctrl_wready(s_axi_ctrl_wready),
        .s_axi_ctrl_bvalid(s_axi_ctrl_bvalid),
        .s_axi_ctrl_bready(1'b1),
        .s_axi_ctrl_araddr(s_axi_ctrl_araddr),
        .s_axi_ctrl_arprot(3'd0),
        .s_axi_ctrl_arvalid(s_axi_ctrl_arvalid),
        .s_axi_ctrl_arready(s_axi_ctrl_arready),
        .s_axi_ctrl_rdata(s_axi_ctrl_rdata),
        .s_axi_ctrl_rvalid(s_axi_ctrl_rvalid),
        .s_axi_ctrl_rready(1'b1),
        .m_axi_mem_arvalid(m_axi_mem_arvalid),
        .m_axi_mem_arready(!reading),
        .m_axi_mem_araddr(m_axi_mem_araddr),
        .m_axi_mem_arlen(m_axi_mem_arlen),
        .m_axi_mem_rid(1'b0),
        .m_axi_mem_rdata(memory[read_beat]),
        .m_axi_mem_rresp(2'd0),
        .m_axi_mem_rlast(read_left == 0),
        .m_axi_mem_rvalid(reading),
        .m_axi_mem_rready(m_axi_mem_rready),
        .m_axi_mem_awvalid(m_axi_mem_awvalid),
        .m_axi_mem_awready(!writing && !m_axi_mem_bvalid),
        .m_axi_mem_awaddr(m_axi_mem_awaddr),
        .m_axi_mem_wdata(m_axi_mem_wdata),
        .m_axi_mem_wstrb(m_axi_mem_wstrb),
        .m_axi_mem_wlast(m_axi_mem_wlast),
        .m_axi_mem_wvalid(m_axi_mem_wvalid),
        .m_axi_mem_wready(writing),
        .m_axi_mem_bid(1'b0),
        .m_axi_mem_bresp(2'd0),
        .m_axi_mem_bvalid(m_axi_mem_bvalid),
        .m_axi_mem_bready(m_axi_mem_bready)
    );

    always @(posedge aclk) if (trace != 0) begin
        if (dut.core.trace_neuron_valid !== 0)
            $fwrite(trace, "n %h %h\n", dut.core.trace_neuron_layer, dut.core.trace_neuron_data);
        if (dut.core.trace_spike_valid !== 0)
            $fwrite(trace, "s %h %h %h %h %h\n", dut.core.trace_spike_layer, dut.core.trace_spike_address,
                    dut.core.trace_spike_banks, dut.core.trace_spike_pieces, dut.core.trace_spike_data);
        if (dut.core.trace_residual_valid !== 0)
            $fwrite(trace, "r %h %h %h %h %h\n", dut.core.trace_residual_layer, dut.core.trace_residual_address,
                    dut.core.trace_residual_banks, dut.core.trace_residual_pieces, dut.core.trace_residual_data);
        if (dut.core.trace_token_valid !== 0)
            $fwrite(trace, "t %h %h %h %h %h\n", dut.core.trace_token_layer, dut.core.trace_token_value,
                    dut.core.trace_token_channel, dut.core.trace_token_chunk, dut.core.trace_token_data);
        if (dut.core.trace_logit_valid !== 0)
            $fwrite(trace, "l %h %h %h\n", dut.core.trace_logit_layer, dut.core.trace_logit_index,
                    dut.core.trace_logit_data);
    end
endmodule
