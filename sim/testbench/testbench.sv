// Testbench of the accelerator: clock, host bus, external memory, watchdog and trace, so that Python acts only between
// images.
//
// Plusargs: +memory=<file, whole beats>, +latency=<cycles, at least 2>, +stall=<percent of cycles>,
// +stall_seed=<number>, +traces=<folder>. `MEMORY_BITS is the width of a beat.
module testbench;
    localparam int BITS = `MEMORY_BITS, BYTES = BITS / 8;

    // Driven by sim/testbench/job.py.
    logic aresetn /*verilator public_flat_rw*/ = 0;
    logic armed /*verilator public_flat_rw*/ = 0;          // a job runs; it ends with `stop`
    logic [31:0] limit /*verilator public_flat_rw*/ = 0;   // watchdog, cycles
    logic tracing /*verilator public_flat_rw*/ = 0;        // write a trace while armed
    logic [31:0] image /*verilator public_flat_rw*/ = 0;   // names the trace
    logic [31:0] error_beat /*verilator public_flat_rw*/ = '1;  // the beat of this number since `armed` has an error
    logic write_error /*verilator public_flat_rw*/ = 0;    // every write has one
    // A register access begins when `bus_request` differs from `bus_answer`, and ends when they are equal.
    logic bus_request /*verilator public_flat_rw*/ = 0;
    logic bus_write /*verilator public_flat_rw*/ = 0;
    logic [13:0] bus_address /*verilator public_flat_rw*/ = 0;
    logic [31:0] bus_write_data /*verilator public_flat_rw*/ = 0;
    logic [3:0] bus_strobe /*verilator public_flat_rw*/ = 4'hF;
    logic [31:0] peek_address /*verilator public_flat_rw*/ = 0;  // shows a beat of the memory

    // Read by sim/testbench/job.py.
    logic aclk /*verilator public_flat_rw*/ = 0;
    logic bus_answer /*verilator public_flat_rd*/ = 0;
    logic [31:0] bus_read_data /*verilator public_flat_rd*/ = 0;
    logic [1:0] bus_response /*verilator public_flat_rd*/ = 0;
    logic stop /*verilator public_flat_rd*/ = 0;
    logic timeout /*verilator public_flat_rd*/ = 0;
    logic [31:0] elapsed /*verilator public_flat_rd*/ = 0;
    logic [31:0] beats_read /*verilator public_flat_rd*/ = 0;  // delivered since `armed`
    logic [2:0] fault /*verilator public_flat_rd*/ = 0;
    logic [39:0] fault_address /*verilator public_flat_rd*/ = 0;
    logic [BITS-1:0] peek_data /*verilator public_flat_rd*/ = 0;

    localparam logic [2:0] OUT_OF_RANGE = 1, CHANGED = 2, BOUNDARY = 3, BAD_BURST = 4, BAD_LAST = 5;

    always #5 aclk = ~aclk;

    // The file of the external memory, in the byte order of a little-endian host.
    logic [BITS-1:0] memory[];
    longint unsigned beats;
    int latency = 20, stall = 0;
    longint unsigned random = 1;
    string folder = ".";

    initial begin
        string path;
        int file;
        logic [BITS-1:0] beat;
        if (!$value$plusargs("memory=%s", path)) $fatal(1, "no +memory=<file>");
        void'($value$plusargs("latency=%d", latency));
        void'($value$plusargs("stall=%d", stall));
        void'($value$plusargs("stall_seed=%d", random));
        void'($value$plusargs("traces=%s", folder));
        threshold = 8'(stall * 256 / 100);
        random = random * 64'h9E3779B97F4A7C15 + 1;  // never 0, the fixed point of the generator
        file = $fopen(path, "rb");
        if (file == 0) $fatal(1, "cannot open %s", path);
        // Results are tested, not stored: Verilator drops a call whose result is overwritten.
        if ($fseek(file, 0, 2) != 0) $fatal(1, "cannot seek in %s", path);
        beats = longint'($ftell(file)) / BYTES;
        if ($rewind(file) != 0) $fatal(1, "cannot rewind %s", path);
        memory = new[int'(beats)];
        for (int i = 0; i < int'(beats); i++) begin
            if ($fread(beat, file) != BYTES) $fatal(1, "cannot read %s", path);  // the first byte arrives on top
            memory[i] = {<<8{beat}};
        end
        $fclose(file);
    end

    // Random stalls: every channel has its own byte of the generator. Compared, not divided: this runs in every cycle.
    wire [63:0] shifted = random ^ (random << 13), mix = shifted ^ (shifted >> 7);
    wire [7:0] allowed;
    logic [7:0] threshold = 0;
    for (genvar i = 0; i < 8; i++) assign allowed[i] = random[8*i+:8] >= threshold;
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

    // External memory, reads: bursts answered in order, up to OUTSTANDING of them accepted ahead; the first beat of a
    // burst can be taken `latency` cycles after the burst was accepted, bursts follow each other without a gap.
    localparam int OUTSTANDING = 16;
    wire m_axi_mem_arvalid, m_axi_mem_rready;
    wire [39:0] m_axi_mem_araddr;
    wire [7:0] m_axi_mem_arlen;
    wire [2:0] m_axi_mem_arsize;
    wire [1:0] m_axi_mem_arburst;
    logic m_axi_mem_rvalid = 0, m_axi_mem_rlast = 0, ar_allowed = 1;
    logic [BITS-1:0] m_axi_mem_rdata = 0;
    logic [1:0] m_axi_mem_rresp = 0;
    logic [4:0] outstanding = 0;
    wire m_axi_mem_arready = ar_allowed && outstanding < 5'(OUTSTANDING);

    logic [39:0] queue_address[OUTSTANDING];
    logic [31:0] queue_cycle[OUTSTANDING];
    logic [7:0] queue_length[OUTSTANDING];
    logic [3:0] head = 0, tail = 0;
    logic [4:0] waiting = 0;   // bursts whose last beat has not been put on the port
    logic [7:0] beat_index = 0;
    logic [31:0] now = 0, beats_put = 0;

    wire accept = m_axi_mem_arvalid && m_axi_mem_arready;
    wire taken = m_axi_mem_rvalid && m_axi_mem_rready;
    wire put = (!m_axi_mem_rvalid || taken) && waiting != 0 && allowed[4]
        && int'(now - queue_cycle[head]) >= latency - 1;
    wire put_last = put && beat_index == queue_length[head];
    wire [39:0] put_beat = queue_address[head] / BYTES + 40'(beat_index);
    wire [31:0] put_index = put_beat[31:0];

    always_ff @(posedge aclk) begin
        now <= now + 1;
        ar_allowed <= allowed[3];
        if (accept) begin
            queue_address[tail] <= m_axi_mem_araddr;
            queue_length[tail] <= m_axi_mem_arlen;
            queue_cycle[tail] <= now;
            tail <= tail + 1;
        end
        if (put) begin
            if (64'(put_beat) < beats) m_axi_mem_rdata <= memory[put_index];
            else m_axi_mem_rdata <= {(BITS / 32){32'hDEAD_DEAD}};
            m_axi_mem_rresp <= beats_put == error_beat ? 2'b10 : 2'b00;
            m_axi_mem_rlast <= put_last;
            beat_index <= put_last ? 0 : beat_index + 1;
            if (put_last) head <= head + 1;
        end
        if (put || taken) m_axi_mem_rvalid <= put;
        waiting <= waiting + 5'(accept) - 5'(put_last);
        outstanding <= outstanding + 5'(accept) - 5'(taken && m_axi_mem_rlast);
        beats_put <= armed ? beats_put + 32'(put) : 0;
        beats_read <= armed ? beats_read + 32'(taken) : 0;
        if (!aresetn) begin
            m_axi_mem_rvalid <= 0;
            outstanding <= 0;
            waiting <= 0;
            beat_index <= 0;
            tail <= 0;
            head <= 0;
        end
    end

    // Writes: one burst at a time.
    wire m_axi_mem_awvalid, m_axi_mem_wvalid, m_axi_mem_wlast, m_axi_mem_bready;
    wire [39:0] m_axi_mem_awaddr;
    wire [7:0] m_axi_mem_awlen;
    wire [2:0] m_axi_mem_awsize;
    wire [1:0] m_axi_mem_awburst;
    wire [BITS-1:0] m_axi_mem_wdata;
    wire [BYTES-1:0] m_axi_mem_wstrb;
    logic m_axi_mem_bvalid = 0, aw_allowed = 1, w_allowed = 1;
    logic [1:0] m_axi_mem_bresp = 0;
    logic writing = 0, answering = 0;
    logic [39:0] write_beat = 0;
    logic [7:0] write_left = 0;
    wire [31:0] write_index = write_beat[31:0];
    logic [BITS-1:0] merged = 0;
    wire m_axi_mem_awready = aw_allowed && !writing && !answering && !m_axi_mem_bvalid;
    wire m_axi_mem_wready = w_allowed && writing;
    wire write_accept = m_axi_mem_awvalid && m_axi_mem_awready;
    wire write_taken = m_axi_mem_wvalid && m_axi_mem_wready;

    always_ff @(posedge aclk) begin
        if (!armed) peek_data <= memory[peek_address];
        aw_allowed <= allowed[5];
        w_allowed <= allowed[6];
        if (write_accept) begin
            writing <= 1;
            write_beat <= m_axi_mem_awaddr / BYTES;
            write_left <= m_axi_mem_awlen;
        end
        if (write_taken) begin
            merged = memory[write_index];
            for (int i = 0; i < BYTES; i++)
                if (m_axi_mem_wstrb[i]) merged[8*i+:8] = m_axi_mem_wdata[8*i+:8];
            if (64'(write_beat) < beats) memory[write_index] = merged;
            write_beat <= write_beat + 1;
            write_left <= write_left - 1;
            writing <= write_left != 0;
            answering <= write_left == 0;
        end
        if (answering && allowed[7]) begin
            answering <= 0;
            m_axi_mem_bvalid <= 1;
            m_axi_mem_bresp <= write_error ? 2'b10 : 2'b00;
        end
        if (m_axi_mem_bvalid && m_axi_mem_bready) m_axi_mem_bvalid <= 0;
        if (!aresetn) begin
            writing <= 0;
            answering <= 0;
            m_axi_mem_bvalid <= 0;
        end
    end

    // What AXI forbids a master. An offer that was not accepted must stay as it is.
    function automatic logic crosses(input logic [39:0] address, input logic [7:0] length);
        return 32'(address[11:0]) + (32'(length) + 1) * BYTES > 4096;
    endfunction
    function automatic logic bad(input logic [39:0] address, input logic [2:0] size, input logic [1:0] burst);
        return burst != 2'b01 || 1 << size != BYTES || address % BYTES != 0;
    endfunction
    logic ar_held = 0, aw_held = 0, w_held = 0;
    logic [47:0] ar_before, aw_before;
    logic [BITS:0] w_before;
    wire [47:0] ar_now = {m_axi_mem_arlen, m_axi_mem_araddr}, aw_now = {m_axi_mem_awlen, m_axi_mem_awaddr};
    wire [BITS:0] w_now = {m_axi_mem_wlast, m_axi_mem_wdata};

    always_ff @(posedge aclk) begin
        ar_held <= m_axi_mem_arvalid && !m_axi_mem_arready;
        aw_held <= m_axi_mem_awvalid && !m_axi_mem_awready;
        w_held <= m_axi_mem_wvalid && !m_axi_mem_wready;
        ar_before <= ar_now;
        aw_before <= aw_now;
        w_before <= w_now;
        if (fault == 0) begin
            fault_address <= write_taken || aw_held || w_held ? write_beat * BYTES : m_axi_mem_araddr;
            if ((ar_held && (!m_axi_mem_arvalid || ar_now != ar_before))
                || (aw_held && (!m_axi_mem_awvalid || aw_now != aw_before))
                || (w_held && (!m_axi_mem_wvalid || w_now != w_before))) fault <= CHANGED;
            else if (accept && crosses(m_axi_mem_araddr, m_axi_mem_arlen)) fault <= BOUNDARY;
            else if (accept && bad(m_axi_mem_araddr, m_axi_mem_arsize, m_axi_mem_arburst)) fault <= BAD_BURST;
            else if (write_accept && crosses(m_axi_mem_awaddr, m_axi_mem_awlen)) fault <= BOUNDARY;
            else if (write_accept && bad(m_axi_mem_awaddr, m_axi_mem_awsize, m_axi_mem_awburst)) fault <= BAD_BURST;
            else if (write_taken && m_axi_mem_wlast != (write_left == 0)) fault <= BAD_LAST;
            else if (write_taken && 64'(write_beat) >= beats) fault <= OUT_OF_RANGE;
            else if (put && 64'(put_beat) >= beats) begin
                fault <= OUT_OF_RANGE;
                fault_address <= put_beat * BYTES;
            end
        end
        if (!aresetn) begin
            ar_held <= 0;
            aw_held <= 0;
            w_held <= 0;
            fault <= 0;
        end
    end

    // Watchdog and end of a job.
    wire interrupt;
    always_ff @(posedge aclk) begin
        elapsed <= armed && !stop ? elapsed + 1 : armed ? elapsed : 0;
        timeout <= armed && (timeout || (elapsed >= limit && !interrupt && !stop));
        stop <= armed && (stop || interrupt || timeout || fault != 0);
    end

    spikeloom dut (
        .*,
        .s_axi_ctrl_awprot(3'd0),
        .s_axi_ctrl_arprot(3'd0),
        .m_axi_mem_rid(1'b0),
        .m_axi_mem_bid(1'b0),
        .m_axi_mem_arid(),
        .m_axi_mem_arlock(),
        .m_axi_mem_arcache(),
        .m_axi_mem_arprot(),
        .m_axi_mem_arqos(),
        .m_axi_mem_awid(),
        .m_axi_mem_awlock(),
        .m_axi_mem_awcache(),
        .m_axi_mem_awprot(),
        .m_axi_mem_awqos()
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
