// Testbench of the accelerator: clock, external memory, watchdog and trace, so that Python acts only between images.
//
// Plusargs: +memory=<file of little-endian 64-bit beats>, +latency=<cycles, at least 2>, +stall=<percent of cycles>,
// +stall_seed=<number>, +traces=<folder>.
module testbench;
    // Driven by sim/job.py.
    logic rst /*verilator public_flat_rw*/ = 1;
    logic [11:0] register_address /*verilator public_flat_rw*/ = 0;
    logic register_write /*verilator public_flat_rw*/ = 0;
    logic [31:0] register_write_data /*verilator public_flat_rw*/ = 0;
    logic armed /*verilator public_flat_rw*/ = 0;          // a job runs; it ends with `stop`
    logic [31:0] limit /*verilator public_flat_rw*/ = 0;   // watchdog, cycles
    logic tracing /*verilator public_flat_rw*/ = 0;        // write a trace while armed
    logic [31:0] image /*verilator public_flat_rw*/ = 0;   // names the trace

    // Read by sim/job.py.
    logic clk /*verilator public_flat_rw*/ = 0;
    wire [31:0] register_read_data /*verilator public_flat_rd*/;
    wire done /*verilator public_flat_rd*/;
    logic stop /*verilator public_flat_rd*/ = 0;
    logic timeout /*verilator public_flat_rd*/ = 0;
    logic [31:0] elapsed /*verilator public_flat_rd*/ = 0;
    logic [1:0] fault /*verilator public_flat_rd*/ = 0;
    logic [31:0] fault_address /*verilator public_flat_rd*/ = 0;

    localparam logic [1:0] OUT_OF_RANGE = 1, CHANGED_REQUEST = 2;

    always #5 clk = ~clk;

    // The file of the external memory, beats in the byte order of a little-endian host.
    logic [63:0] memory[];
    longint unsigned beats;
    int latency = 20, stall = 0;
    longint unsigned random = 1;
    string folder = ".";

    initial begin
        string path;
        int file;
        logic [63:0] beat;
        if (!$value$plusargs("memory=%s", path)) $fatal(1, "no +memory=<file>");
        void'($value$plusargs("latency=%d", latency));
        void'($value$plusargs("stall=%d", stall));
        void'($value$plusargs("stall_seed=%d", random));
        void'($value$plusargs("traces=%s", folder));
        random = random * 64'h9E3779B97F4A7C15 + 1;  // never 0, the fixed point of the generator
        file = $fopen(path, "rb");
        if (file == 0) $fatal(1, "cannot open %s", path);
        // Results are tested, not stored: Verilator drops a call whose result is overwritten.
        if ($fseek(file, 0, 2) != 0) $fatal(1, "cannot seek in %s", path);
        beats = longint'($ftell(file)) / 8;
        if ($rewind(file) != 0) $fatal(1, "cannot rewind %s", path);
        memory = new[int'(beats)];
        for (int i = 0; i < int'(beats); i++) begin
            if ($fread(beat, file) != 8) $fatal(1, "cannot read %s", path);  // the first byte arrives on top
            memory[i] = {<<8{beat}};
        end
        $fclose(file);
    end

    // External memory: requests answered in order, up to OUTSTANDING of them accepted ahead; the first beat of a request
    // can be taken `latency` cycles after the request, bursts follow each other without a gap.
    localparam int OUTSTANDING = 4;
    wire request_valid, response_ready;
    wire [31:0] request_address;
    wire [15:0] request_length;
    logic request_allowed = 1, response_valid = 0;
    logic [63:0] response_data = 0;
    logic [2:0] outstanding = 0;
    wire request_ready = request_allowed && outstanding < 3'(OUTSTANDING);

    logic [31:0] queue_address[OUTSTANDING], queue_cycle[OUTSTANDING];
    logic [15:0] queue_length[OUTSTANDING];
    logic [1:0] head = 0, tail = 0;
    logic [2:0] waiting = 0;   // requests whose last beat has not been put on the port
    logic [15:0] beat_index = 0;
    logic response_last = 0, held = 0;
    logic [31:0] held_address, now = 0;
    logic [15:0] held_length;

    wire [63:0] shifted = random ^ (random << 13), mix = shifted ^ (shifted >> 7);
    wire accept = request_valid && request_ready;
    wire taken = response_valid && response_ready;
    wire response_allowed = stall == 0 || int'(random[39:32]) % 100 >= stall;
    wire put = (!response_valid || taken) && waiting != 0 && response_allowed
        && int'(now - queue_cycle[head]) >= latency - 1;
    wire put_last = put && beat_index == queue_length[head];
    wire [31:0] put_address = queue_address[head] + 32'(beat_index);

    always_ff @(posedge clk) begin
        now <= now + 1;
        if (stall != 0) begin
            random <= mix ^ (mix << 17);  // xorshift64
            request_allowed <= int'(random[15:8]) % 100 >= stall;
        end
        if (accept) begin
            queue_address[tail] <= request_address;
            queue_length[tail] <= request_length;
            queue_cycle[tail] <= now;
            tail <= tail + 1;
        end
        if (put) begin
            if (64'(put_address) < beats) response_data <= memory[put_address];
            else response_data <= 64'hDEAD_DEAD_DEAD_DEAD;
            response_last <= put_last;
            beat_index <= put_last ? 0 : beat_index + 1;
            if (put_last) head <= head + 1;
        end
        if (put || taken) response_valid <= put;
        waiting <= waiting + 3'(accept) - 3'(put_last);
        outstanding <= outstanding + 3'(accept) - 3'(taken && response_last);

        // A request that was offered and not accepted must stay as it is.
        held <= request_valid && !request_ready;
        held_address <= request_address;
        held_length <= request_length;
        if (fault == 0) begin
            if (held && (!request_valid || request_address != held_address || request_length != held_length)) begin
                fault <= CHANGED_REQUEST;
                fault_address <= held_address;
            end else if (put && 64'(put_address) >= beats) begin
                fault <= OUT_OF_RANGE;
                fault_address <= put_address;
            end
        end
        if (rst) begin
            response_valid <= 0;
            outstanding <= 0;
            waiting <= 0;
            beat_index <= 0;
            tail <= 0;
            head <= 0;
            held <= 0;
            fault <= 0;
        end
    end

    // Watchdog and end of a job.
    always_ff @(posedge clk) begin
        elapsed <= armed && !stop ? elapsed + 1 : armed ? elapsed : 0;
        timeout <= armed && (timeout || (elapsed >= limit && !done && !stop));
        stop <= armed && (stop || done || timeout || fault != 0);
    end

    spikeloom dut (
        .clk(clk),
        .rst(rst),
        .register_address(register_address),
        .register_write(register_write),
        .register_write_data(register_write_data),
        .register_read_data(register_read_data),
        .memory_request_valid(request_valid),
        .memory_request_ready(request_ready),
        .memory_request_address(request_address),
        .memory_request_length(request_length),
        .memory_response_valid(response_valid),
        .memory_response_ready(response_ready),
        .memory_response_data(response_data),
        .done(done)
    );

    // One line per event: kind, layer, address fields, data; all in hexadecimal, so a kind's lines are equally long.
    int trace = 0;
    always_ff @(posedge clk) begin
        if (tracing && trace == 0) trace = $fopen($sformatf("%s/trace_%0d.txt", folder, image), "w");
        if (!tracing && trace != 0) begin
            $fclose(trace);
            trace = 0;
        end
        if (trace != 0 && armed) begin
            if (dut.trace_neuron_valid) $fwrite(trace, "n %h %h\n", dut.trace_layer, dut.trace_neuron_data);
            if (dut.trace_spike_valid)
                $fwrite(trace, "s %h %h %h %h\n", dut.trace_layer, dut.trace_spike_address, dut.trace_spike_banks,
                        dut.trace_spike_data);
            if (dut.trace_residual_valid)
                $fwrite(trace, "r %h %h %h %h\n", dut.trace_layer, dut.trace_residual_address, dut.trace_residual_banks,
                        dut.trace_residual_data);
            if (dut.trace_token_valid)
                $fwrite(trace, "t %h %h %h %h %h\n", dut.trace_layer, dut.trace_token_value, dut.trace_token_channel,
                        dut.trace_token_chunk, dut.trace_token_data);
            if (dut.trace_logit_valid)
                $fwrite(trace, "l %h %h %h\n", dut.trace_layer, dut.trace_logit_index, dut.trace_logit_data);
        end
    end
endmodule
