// SPDX-License-Identifier: MIT
// y[m][n] = sum over k of x[m][k] * w[n][k], INT8 activations, INT8 or INT4 weights, 32-bit sums.
//
// ROWS outputs are made at once from LANES products each. A tile is ROWS outputs over all of k: its
// weights stream into one of two banks, a beat of ROWS x LANES weights at a time, while the other
// bank is at work. A full bank is multiplied with all m rows of activations, one beat in II cycles,
// then freed. Activations are written beforehand. engine.h is the same machine in C, to the cycle.
//
// A beat's way: bank and activations are read (1 cycle), products (1), adder tree (log2 LANES),
// sum (1), y (1).
`default_nettype none
module engine #(
    parameter LANES = 8,      // a power of two
    parameter ROWS = 4,
    parameter WBITS = 8,      // 8 or 4
    parameter DEPTH = 64,     // beats of a bank, a power of two
    parameter XDEPTH = 256,   // beats of all activations, a power of two
    parameter II = 1          // initiation interval, 1 to 15
) (
    input wire clk,
    input wire rst,
    // The work, stable from start to done.
    input wire start,
    input wire [15:0] k_beats,  // beats of a row: ceil(k / LANES), 1 to DEPTH
    input wire [15:0] m_rows,   // m k_beats <= XDEPTH
    input wire [15:0] n_tiles,
    // Activations: beat b of row m at m k_beats + b.
    input wire x_we,
    input wire [15:0] x_addr,
    input wire [LANES*8-1:0] x_data,
    // Weights, tile by tile, beat by beat; lane l of row r at bits (r LANES + l) WBITS.
    input wire w_valid,
    output wire w_ready,
    input wire [ROWS*LANES*WBITS-1:0] w_data,
    // Results: ROWS sums of one row of activations, m by m, tile by tile.
    output reg y_valid,
    output wire [ROWS*32-1:0] y_data
);
    localparam LEVELS = $clog2(LANES);
    localparam DBITS = $clog2(DEPTH);
    localparam XBITS = $clog2(XDEPTH);
    localparam STAGES = 2 + LEVELS;  // from the read to the sum

    // ---- filling ----
    reg [ROWS*LANES*WBITS-1:0] banks [0:2*DEPTH-1];
    reg [1:0] is_full;
    reg fill_bank;
    reg [15:0] fill_beat, fill_tiles;
    wire frees;     // the last beat of a bank is issued
    reg work_bank;
    assign w_ready = fill_tiles != 0 && !is_full[fill_bank];
    wire takes = w_valid && w_ready;
    wire fills = takes && fill_beat == k_beats - 1;

    always @(posedge clk) begin
        if (takes) banks[{fill_bank, fill_beat[DBITS-1:0]}] <= w_data;
        if (rst) begin
            is_full <= 2'b00;
            fill_bank <= 1'b0;
            fill_beat <= 16'd0;
            fill_tiles <= 16'd0;
        end else if (start) begin
            fill_tiles <= n_tiles;
        end else begin
            if (takes) fill_beat <= fills ? 16'd0 : fill_beat + 16'd1;
            if (fills) begin
                is_full[fill_bank] <= 1'b1;
                fill_bank <= !fill_bank;
                fill_tiles <= fill_tiles - 16'd1;
            end
            if (frees) is_full[work_bank] <= 1'b0;
        end
    end

    // ---- issuing ----
    reg [15:0] beat, row, x_row;
    reg [3:0] interval;
    wire issues = is_full[work_bank] && interval == 0;
    wire ends_row = beat == k_beats - 1;
    assign frees = issues && ends_row && row == m_rows - 1;

    always @(posedge clk) begin
        if (rst) begin
            beat <= 16'd0;
            row <= 16'd0;
            x_row <= 16'd0;
            interval <= 4'd0;
            work_bank <= 1'b0;
        end else begin
            interval <= issues ? II - 1 : interval != 0 ? interval - 4'd1 : 4'd0;
            if (issues) begin
                beat <= ends_row ? 16'd0 : beat + 16'd1;
                if (ends_row) begin
                    row <= frees ? 16'd0 : row + 16'd1;
                    x_row <= frees ? 16'd0 : x_row + k_beats;
                end
                if (frees) work_bank <= !work_bank;
            end
        end
    end

    // ---- reading ----
    reg [LANES*8-1:0] xs [0:XDEPTH-1];
    reg [ROWS*LANES*WBITS-1:0] w_beat;
    reg [LANES*8-1:0] x_beat;
    wire [15:0] x_at = x_row + beat;
    reg [STAGES:0] is_valid, is_first, is_last;  // stage 0 = the read

    always @(posedge clk) begin
        if (x_we) xs[x_addr[XBITS-1:0]] <= x_data;
        w_beat <= banks[{work_bank, beat[DBITS-1:0]}];
        x_beat <= xs[x_at[XBITS-1:0]];
        is_valid <= rst ? {(STAGES+1){1'b0}} : {is_valid[STAGES-1:0], issues};
        is_first <= {is_first[STAGES-1:0], beat == 0};
        is_last <= {is_last[STAGES-1:0], ends_row};
        y_valid <= !rst && is_valid[STAGES-1] && is_last[STAGES-1];
    end

    // ---- multiplying and adding ----
    genvar r, l, v;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : rows
            // Sums of the tree, level 0 the products; level v has LANES >> v of them.
            wire signed [31:0] tree [0:LEVELS][0:LANES-1];
            for (l = 0; l < LANES; l = l + 1) begin : lanes
                wire signed [WBITS-1:0] w = w_beat[(r*LANES+l)*WBITS +: WBITS];
                wire signed [7:0] x = x_beat[l*8 +: 8];
                reg signed [WBITS+7:0] product;
                always @(posedge clk) product <= w * x;
                assign tree[0][l] = product;
            end
            for (v = 1; v <= LEVELS; v = v + 1) begin : levels
                for (l = 0; l < (LANES >> v); l = l + 1) begin : sums
                    reg signed [WBITS+7+v:0] sum;
                    always @(posedge clk) sum <= tree[v-1][2*l] + tree[v-1][2*l+1];
                    assign tree[v][l] = sum;
                end
            end
            reg signed [31:0] total;
            always @(posedge clk)
                if (is_valid[STAGES-1])
                    total <= (is_first[STAGES-1] ? 32'sd0 : total) + tree[LEVELS][0];
            assign y_data[r*32 +: 32] = total;
        end
    endgenerate
endmodule
`default_nettype wire
