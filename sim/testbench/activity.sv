// Writes down what the engines do in every cycle of a process's first image, if that one is traced: one line when it
// changes. Bound to the testbench of the accelerator.
//
// A line is, all in hexadecimal: the job's cycle, whether the job runs, and for every engine 16 bits, its layer above what
// it does: bit 0 that it works, the others what it waits for, in the order of `ENGINES` in sim/comparison/timeline.py. Of
// the array and of attention they are what the counters count, as they are counted.
bind testbench activity activity ();

module activity;
    wire running = dut.core.counters.events__busy;

    wire [15:0] memory = {15'd0, testbench.m_axi_mem_rvalid && testbench.m_axi_mem_rready};

    wire loading = !dut.core.image_load.done, beat = dut.core.image_load.memory__response__valid;
    wire taken = dut.core.image_load.memory__response__ready;
    wire [15:0] load = {13'd0, loading && beat && !taken, loading && !beat, loading && beat && taken};

    wire filling = dut.core.weight_array.table_writer.banks.filling;
    wire staged = dut.core.weight_array.table_writer.banks.staged;
    wire [15:0] tables = {13'd0, !filling && staged, !filling && !staged, filling};

    wire [5:0] counted = {
        dut.core.counters.events__wait_load, dut.core.counters.events__wait_attention,
        dut.core.counters.events__wait_data, dut.core.counters.events__wait_drain,
        dut.core.counters.events__wait_weights, dut.core.counters.events__working
    };
    wire [15:0] array = {dut.core.counters.events__layer, 1'b0, counted == 0, counted};

    wire reading = dut.core.neurons.walk.tiles.reading, read = dut.core.neurons.walk.tiles.done;
    wire [15:0] neurons = {dut.core.trace_logit_layer, 6'd0, !reading && !read, reading};

    wire [7:0] spike_layer = dut.core.trace_spike_layer, residual_layer = dut.core.trace_residual_layer;
    wire by_neurons = dut.core.writeback.spike_write__valid, residual = dut.core.trace_residual_valid;
    wire token = dut.core.trace_token_valid, logit = dut.core.trace_logit_valid;
    wire [7:0] written_layer = by_neurons ? spike_layer : residual ? residual_layer
        : token ? dut.core.trace_token_layer : logit ? dut.core.trace_logit_layer : 8'd0;
    wire [15:0] writeback = {written_layer, 7'd0, by_neurons || residual || token || logit};

    wire attending = dut.core.counters.events__attention_working;
    wire [15:0] attention = {
        dut.core.counters.events__attention_layer,
        6'd0, !attending && dut.core.dispatcher.attention_place.occupied, attending
    };

    wire [7*16:0] now = running ? {1'b1, memory, load, tables, array, neurons, writeback, attention} : 0;
    logic [7*16:0] last = 0;
    int file = 0;
    always_ff @(posedge testbench.aclk) begin
        if (testbench.tracing && testbench.image == 0 && file == 0)
            file = $fopen($sformatf("%s/activity.txt", testbench.folder), "w");
        if (!testbench.tracing && file != 0) begin
            $fclose(file);
            file = 0;
        end
        if (file != 0 && now != last) begin
            $fwrite(file, "%h %h %h %h %h %h %h %h %h\n", dut.core.counters.total, running, now[6*16+:16],
                    now[5*16+:16], now[4*16+:16], now[3*16+:16], now[2*16+:16], now[16+:16], now[0+:16]);
            last <= now;
        end
    end
endmodule
