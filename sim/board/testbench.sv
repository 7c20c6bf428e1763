// Testbench of a board's system: clock, reset, and the host's end of the serial wires as two byte buffers, so that Python
// acts once per chunk of bytes. Every level between here and the system is one of a wire, bit by bit.
module board_testbench;
    localparam int CHUNK = 256;  // bytes of a buffer

    // Driven by sim/board/pins.py.
    logic rst /*verilator public_flat_rw*/ = 1;
    logic [11:0] divisor /*verilator public_flat_rw*/ = 4;  // cycles in a bit, of both ends
    logic [31:0] noise /*verilator public_flat_rw*/ = 0;    // bits that are flipped, of 2^32
    logic unplugged /*verilator public_flat_rw*/ = 0;       // nothing gets through, either way
    logic [8*CHUNK-1:0] send_data /*verilator public_flat_rw*/ = 0;
    logic [8:0] send_count /*verilator public_flat_rw*/ = 0;
    logic send_request /*verilator public_flat_rw*/ = 0;    // differs from `send_answer` while a chunk is sent
    logic take /*verilator public_flat_rw*/ = 0;            // changes when a chunk has been read

    // Read by it.
    logic clk /*verilator public_flat_rw*/ = 0;
    logic send_answer /*verilator public_flat_rd*/ = 0;
    logic [8*CHUNK-1:0] received_data /*verilator public_flat_rd*/ = 0;
    logic [8:0] received_count /*verilator public_flat_rd*/ = 0;
    logic ready /*verilator public_flat_rd*/ = 0;           // a chunk: up to an END, a full buffer, or a pause
    wire alive /*verilator public_flat_rd*/, busy /*verilator public_flat_rd*/, error /*verilator public_flat_rd*/;

    always #5 clk = ~clk;

    // Noise: every bit time of each wire has its own half of the generator.
    logic [63:0] random = 64'h9E3779B97F4A7C15;
    wire [63:0] shifted = random ^ (random << 13), mix = shifted ^ (shifted >> 7);
    logic [11:0] bit_time = 0;
    logic flip_rx = 0, flip_tx = 0;
    always_ff @(posedge clk) begin
        bit_time <= bit_time == 0 ? divisor - 1 : bit_time - 1;
        if (bit_time == 0 && noise != 0) begin
            random <= mix ^ (mix << 17);  // xorshift64
            flip_rx <= random[31:0] < noise;
            flip_tx <= random[63:32] < noise;
        end else if (noise == 0) {flip_rx, flip_tx} <= 0;
    end

    // From host to board.
    logic [9:0] bits = '1;
    logic [3:0] bits_left = 0;
    logic [8:0] sent = 0;
    logic [11:0] send_countdown = 0;
    wire rx = (bits[0] ^ flip_rx) | unplugged;
    always_ff @(posedge clk) begin
        if (send_countdown != 0) send_countdown <= send_countdown - 1;
        else if (bits_left > 1) begin
            bits <= {1'b1, bits[9:1]};
            bits_left <= bits_left - 1;
            send_countdown <= divisor - 1;
        end else if (send_request != send_answer) begin
            if (sent != send_count) begin
                bits <= {1'b1, send_data[8*sent+:8], 1'b0};
                bits_left <= 10;
                send_countdown <= divisor - 1;
                sent <= sent + 1;
            end else begin
                send_answer <= send_request;
                sent <= 0;
            end
        end
    end

    // From board to host: sampled in the middle of each bit, as an adapter does.
    localparam logic [7:0] FRAME_END = 8'hC0;
    wire tx;
    wire line = (tx ^ flip_tx) | unplugged;
    logic receiving = 0, taken = 0;
    logic [3:0] received_bits = 0;
    logic [7:0] byte_now = 0;
    logic [11:0] receive_countdown = 0;
    int pause = 0;
    wire [8:0] place = taken != take ? 0 : received_count;  // of the next byte
    always_ff @(posedge clk) begin
        pause <= pause + 1;
        taken <= take;
        received_count <= place;
        if (taken != take) ready <= 0;
        else if (received_count != 0 && pause > 100 * int'(divisor)) ready <= 1;
        if (!receiving) begin
            receiving <= !line;
            received_bits <= 0;
            receive_countdown <= (divisor >> 1) - 1;
        end else if (receive_countdown != 0) receive_countdown <= receive_countdown - 1;
        else begin
            receive_countdown <= divisor - 1;
            received_bits <= received_bits + 1;
            if (received_bits == 0) receiving <= !line;  // a start bit that was none
            else if (received_bits != 9) byte_now <= {line, byte_now[7:1]};
            else begin
                receiving <= 0;
                pause <= 0;
                received_data[8*place+:8] <= byte_now;  // an adapter hands on bytes without a stop bit, too
                received_count <= place + 1;
                if (place == CHUNK - 1 || (byte_now == FRAME_END && place != 0)) ready <= 1;
            end
        end
    end

    board_system dut (.*);
endmodule
