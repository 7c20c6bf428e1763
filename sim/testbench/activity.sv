// Writes down what the engines do in every cycle of a process's first image, if that one is traced: one line when it
// changes. Bound to the testbench of the accelerator.
//
// A line is, all in hexadecimal: the job's cycle, whether the job runs, and for every engine 16 bits, its layer above what
// it does: bit 0 that it works, the others what it waits for, in the order of `ENGINES` in sim/comparison/timeline.py. Of
// the array and of attention they are what the counters count, as they are counted.
bind testbench activity activity ();

module activity;
    // Functions, not nets: other images pay for none of it.
    function automatic [15:0] memory();
        return {15'd0, testbench.m_axi_mem_rvalid && testbench.m_axi_mem_rready};
    endfunction

    function automatic [15:0] load();
        logic loading, beat, taken;
        loading = !dut.core.image_load.done;
        beat = dut.core.image_load.memory__response__valid;
        taken = dut.core.image_load.memory__response__ready;
        return {13'd0, loading && beat && !taken, loading && !beat, loading && beat && taken};
    endfunction

    function automatic [15:0] tables();
        logic filling, staged;
        filling = dut.core.weight_array.table_writer.banks.filling;
        staged = dut.core.weight_array.table_writer.banks.staged;
        return {13'd0, !filling && staged, !filling && !staged, filling};
    endfunction

    function automatic [15:0] array();
        logic [5:0] counted;
        counted = {
            dut.core.counters.events__wait_load, dut.core.counters.events__wait_attention,
            dut.core.counters.events__wait_data, dut.core.counters.events__wait_drain,
            dut.core.counters.events__wait_weights, dut.core.counters.events__working
        };
        return {dut.core.counters.events__layer, 1'b0, counted == 0, counted};
    endfunction

    function automatic [15:0] neurons();
        logic reading, read;
        reading = dut.core.neurons.walk.tiles.reading;
        read = dut.core.neurons.walk.tiles.done;
        return {dut.core.trace_logit_layer, 6'd0, !reading && !read, reading};
    endfunction

    function automatic [15:0] writeback();
        if (dut.core.writeback.spike_write__valid) return {dut.core.trace_spike_layer, 8'd1};
        if (dut.core.trace_residual_valid) return {dut.core.trace_residual_layer, 8'd1};
        if (dut.core.trace_token_valid) return {dut.core.trace_token_layer, 8'd1};
        if (dut.core.trace_logit_valid) return {dut.core.trace_logit_layer, 8'd1};
        return 0;
    endfunction

    function automatic [15:0] attention();
        logic working;
        working = dut.core.counters.events__attention_working;
        return {
            dut.core.counters.events__attention_layer,
            6'd0, !working && dut.core.dispatcher.attention_place.occupied, working
        };
    endfunction

    logic running;
    logic [7*16-1:0] now, last = 0;
    int file = 0;
    always_ff @(posedge testbench.aclk) begin
        if (testbench.tracing && testbench.image == 0 && file == 0)
            file = $fopen($sformatf("%s/activity.txt", testbench.folder), "w");
        if (!testbench.tracing && file != 0) begin
            $fclose(file);
            file = 0;
        end
        if (file != 0) begin
            running = dut.core.counters.events__busy;
            now = running ? {memory(), load(), tables(), array(), neurons(), writeback(), attention()} : 0;
            if (now != last)
                $fwrite(file, "%h %h %h %h %h %h %h %h %h\n", dut.core.counters.total, running, now[6*16+:16],
                        now[5*16+:16], now[4*16+:16], now[3*16+:16], now[2*16+:16], now[16+:16], now[0+:16]);
            last = now;
        end
    end
endmodule
