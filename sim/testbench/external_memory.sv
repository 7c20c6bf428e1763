// External memory of the testbench behind an AXI4 port: it holds a file, delivers bursts after a latency, and stalls
// where it is told to.
//
// Plusargs: +memory=<file, whole beats>, +latency=<cycles, at least 2>, +transfer=<file that the host passes beats in>.
module external_memory #(
    parameter int BITS = 64,  // width of a beat
    localparam int BYTES = BITS / 8
) (
    input aclk,
    input aresetn,
    input armed,                // a job runs
    input [7:0] allowed,        // which channels may go on in this cycle; bits 3 to 7 are this port's
    input [31:0] error_beat,    // the beat of this number since `armed` has an error
    input write_error,          // every write has one
    output logic [31:0] beats_read = 0,  // delivered since `armed`
    output logic out_of_range = 0,  // since a reset, something behind the file was asked for
    output logic [39:0] wrong_address = 0,
    // The host's way to the memory, any number of beats in one cycle by way of a file: it begins when `transfer_request`
    // differs from `transfer_answer`, and ends when they are equal.
    input transfer_request,
    input transfer_store,       // from memory, a line of hexadecimal digits for each beat; otherwise into it, plain bytes
    input [31:0] transfer_beat, // the first one
    input [31:0] transfer_beats,
    output logic transfer_answer = 0,

    input m_axi_mem_arvalid,
    output m_axi_mem_arready,
    input [39:0] m_axi_mem_araddr,
    input [7:0] m_axi_mem_arlen,
    output logic m_axi_mem_rvalid = 0,
    input m_axi_mem_rready,
    output logic [BITS-1:0] m_axi_mem_rdata = 0,
    output logic [1:0] m_axi_mem_rresp = 0,
    output logic m_axi_mem_rlast = 0,

    input m_axi_mem_awvalid,
    output m_axi_mem_awready,
    input [39:0] m_axi_mem_awaddr,
    input [7:0] m_axi_mem_awlen,
    input m_axi_mem_wvalid,
    output m_axi_mem_wready,
    input [BITS-1:0] m_axi_mem_wdata,
    input [BYTES-1:0] m_axi_mem_wstrb,
    input m_axi_mem_wlast,
    output logic m_axi_mem_bvalid = 0,
    input m_axi_mem_bready,
    output logic [1:0] m_axi_mem_bresp = 0
);
    // The file, in the byte order of a little-endian host.
    logic [BITS-1:0] memory[];
    longint unsigned beats;
    int latency = 20;

    initial begin
        string path;
        int file;
        logic [BITS-1:0] beat;
        if (!$value$plusargs("memory=%s", path)) $fatal(1, "no +memory=<file>");
        void'($value$plusargs("latency=%d", latency));
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

    // Reads: bursts answered in order, up to OUTSTANDING of them accepted ahead; the first beat of a
    // burst can be taken `latency` cycles after the burst was accepted, bursts follow each other without a gap.
    localparam int OUTSTANDING = 16;
    logic ar_allowed = 1;
    logic [4:0] outstanding = 0;
    assign m_axi_mem_arready = ar_allowed && outstanding < 5'(OUTSTANDING);

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
    logic aw_allowed = 1, w_allowed = 1;
    logic writing = 0, answering = 0;
    logic [39:0] write_beat = 0;
    logic [7:0] write_left = 0;
    wire [31:0] write_index = write_beat[31:0];
    logic [BITS-1:0] merged = 0;
    assign m_axi_mem_awready = aw_allowed && !writing && !answering && !m_axi_mem_bvalid;
    assign m_axi_mem_wready = w_allowed && writing;
    wire write_accept = m_axi_mem_awvalid && m_axi_mem_awready;
    wire write_taken = m_axi_mem_wvalid && m_axi_mem_wready;

    always_ff @(posedge aclk) begin
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

    string transfer_path = "";
    initial void'($value$plusargs("transfer=%s", transfer_path));
    always @(posedge aclk) if (transfer_request != transfer_answer) begin
        int file;
        logic [BITS-1:0] beat;
        file = $fopen(transfer_path, transfer_store ? "w" : "rb");
        if (file == 0) $fatal(1, "cannot open %s", transfer_path);
        for (int i = int'(transfer_beat); i < int'(transfer_beat + transfer_beats); i++) begin
            if (transfer_store) $fwrite(file, "%h\n", memory[i]);
            else begin
                if ($fread(beat, file) != BYTES) $fatal(1, "cannot read %s", transfer_path);
                memory[i] = {<<8{beat}};
            end
        end
        $fclose(file);
        transfer_answer <= transfer_request;
    end

    always_ff @(posedge aclk) begin
        if (!out_of_range) begin
            out_of_range <= (write_taken && 64'(write_beat) >= beats) || (put && 64'(put_beat) >= beats);
            wrong_address <= (write_taken ? write_beat : put_beat) * BYTES;
        end
        if (!aresetn) out_of_range <= 0;
    end
endmodule
