// A device with the accelerator's ports, for the tests of the testbench: it reads bursts and keeps a checksum.
// Its program is 16 beats: beat 0 holds the number of bursts [7:0] and whether the device is a slow reader [8]; each
// following beat holds one burst as {length - 1 [47:32], address [31:0]}, relative to the image address. The bursts are
// requested as fast as they are accepted. PREDICTION counts the cycles between the first and the last beat of them.
module spikeloom (
    input clk,
    input rst,
    input [11:0] register_address,
    input register_write,
    input [31:0] register_write_data,
    output reg [31:0] register_read_data,
    output memory_request_valid,
    input memory_request_ready,
    output [31:0] memory_request_address,
    output [15:0] memory_request_length,
    input memory_response_valid,
    output memory_response_ready,
    input [63:0] memory_response_data,
    output done
);
    localparam IDLE = 0, FETCH = 1, LOAD = 2, RUN = 3, DONE = 4;
    reg [2:0] state;
    reg [63:0] program_beats [0:15];
    reg [4:0] loaded;
    reg [7:0] issued, count;
    reg slow, started;
    reg [31:0] program_address, image_address, cycles, span, beats, expected;
    reg [63:0] checksum;

    wire running = state == FETCH || state == LOAD || state == RUN;
    wire [63:0] burst = program_beats[issued[3:0] + 1];
    wire issue = state == RUN && issued != count;
    assign memory_request_valid = state == FETCH || issue;
    assign memory_request_address = issue ? image_address + burst[31:0] : program_address;
    assign memory_request_length = issue ? burst[47:32] : 16'd15;
    assign memory_response_ready = !slow || (cycles[1:0] == 0);
    assign done = state == DONE;

    // Every beat of a burst is traced as a neuron word; the end of the job as one event of each other kind.
    wire beat = memory_response_valid && memory_response_ready;
    wire last = state == RUN && issued == count && beats == expected;
    wire [7:0] trace_layer = issued;
    wire trace_neuron_valid = beat && state == RUN;
    wire [63:0] trace_neuron_data = memory_response_data;
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
        case (register_address)
            12'h000: register_read_data <= 32'h53504B4C;
            12'h001: register_read_data <= 1;
            12'h003: register_read_data <= {30'd0, done, running};
            12'h007: register_read_data <= span;
            12'h008: register_read_data <= cycles;
            12'h009: register_read_data <= 2;
            12'h100: register_read_data <= checksum[31:0];
            12'h101: register_read_data <= checksum[63:32];
            12'h102: register_read_data <= ~beats;
            default: register_read_data <= register_address[11] ? {20'd0, register_address} : 0;
        endcase
        if (running) cycles <= cycles + 1;
        if (started) span <= span + 1;
        case (state)
            FETCH: if (memory_request_ready) state <= LOAD;
            LOAD: if (beat) begin
                program_beats[loaded[3:0]] <= memory_response_data;
                loaded <= loaded + 1;
                if (loaded == 0) {slow, count} <= memory_response_data[8:0];
                if (loaded == 15) state <= RUN;
            end
            RUN: begin
                if (issue && memory_request_ready) begin
                    issued <= issued + 1;
                    expected <= expected + {16'd0, burst[47:32]} + 1;
                end
                if (beat) begin
                    started <= !(issued == count && beats + 1 == expected);
                    beats <= beats + 1;
                    checksum <= {checksum[62:0], checksum[63]} ^ memory_response_data;
                end
                if (last) state <= DONE;
            end
            default: ;
        endcase
        if (register_write) case (register_address)
            12'h005: program_address <= register_write_data;
            12'h006: image_address <= register_write_data;
            12'h002: if (register_write_data[0] && !running) begin
                state <= FETCH;
                {loaded, issued, cycles, span, beats, expected, checksum, started, slow} <= 0;
            end
            default: ;
        endcase
        if (rst) state <= IDLE;
    end
endmodule
