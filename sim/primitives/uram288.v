// What the design uses of the UltraScale+ primitive URAM288 (UG573, UltraRAM): ports A write, ports B read, cascades
// without registers. Compared once, in cascades of one, two and five, with the vendor's own model (Unisim 2020.1).
module URAM288 #(
  parameter BWE_MODE_A = "", parameter BWE_MODE_B = "", parameter CASCADE_ORDER_A = "NONE",
  parameter CASCADE_ORDER_B = "NONE", parameter integer NUM_UNIQUE_SELF_ADDR_A = 1,
  parameter integer NUM_UNIQUE_SELF_ADDR_B = 1, parameter integer NUM_URAM_IN_MATRIX = 1,
  parameter [10:0] SELF_ADDR_A = 0, parameter [10:0] SELF_ADDR_B = 0,
  parameter [10:0] SELF_MASK_A = 11'h7FF, parameter [10:0] SELF_MASK_B = 11'h7FF
) (
  input CLK, SLEEP,
  input RST_A, RST_B, INJECT_SBITERR_A, INJECT_SBITERR_B, INJECT_DBITERR_A, INJECT_DBITERR_B,
  input OREG_CE_A, OREG_CE_B, OREG_ECC_CE_A, OREG_ECC_CE_B,
  input [22:0] ADDR_A, ADDR_B, CAS_IN_ADDR_A, CAS_IN_ADDR_B, output [22:0] CAS_OUT_ADDR_A, CAS_OUT_ADDR_B,
  input [8:0] BWE_A, BWE_B, CAS_IN_BWE_A, CAS_IN_BWE_B, output [8:0] CAS_OUT_BWE_A, CAS_OUT_BWE_B,
  input [71:0] DIN_A, DIN_B, CAS_IN_DIN_A, CAS_IN_DIN_B, output [71:0] CAS_OUT_DIN_A, CAS_OUT_DIN_B,
  input EN_A, EN_B, CAS_IN_EN_A, CAS_IN_EN_B, output CAS_OUT_EN_A, CAS_OUT_EN_B,
  input RDB_WR_A, RDB_WR_B, CAS_IN_RDB_WR_A, CAS_IN_RDB_WR_B, output CAS_OUT_RDB_WR_A, CAS_OUT_RDB_WR_B,
  input [71:0] CAS_IN_DOUT_A, CAS_IN_DOUT_B, output [71:0] CAS_OUT_DOUT_A, CAS_OUT_DOUT_B, DOUT_A, DOUT_B,
  input CAS_IN_RDACCESS_A, CAS_IN_RDACCESS_B, output CAS_OUT_RDACCESS_A, CAS_OUT_RDACCESS_B,
  input CAS_IN_DBITERR_A, CAS_IN_DBITERR_B, output CAS_OUT_DBITERR_A, CAS_OUT_DBITERR_B,
  input CAS_IN_SBITERR_A, CAS_IN_SBITERR_B, output CAS_OUT_SBITERR_A, CAS_OUT_SBITERR_B
);
  localparam FIRST_A = CASCADE_ORDER_A == "FIRST" || CASCADE_ORDER_A == "NONE";
  localparam FIRST_B = CASCADE_ORDER_B == "FIRST" || CASCADE_ORDER_B == "NONE";
  localparam LAST_A = CASCADE_ORDER_A == "LAST" || CASCADE_ORDER_A == "NONE";
  localparam LAST_B = CASCADE_ORDER_B == "LAST" || CASCADE_ORDER_B == "NONE";
  localparam BITS = 23 + 9 + 72 + 1 + 1;

  wire [22:0] addr_a, addr_b;
  wire [8:0] bwe_a, bwe_b;
  wire [71:0] din_a, din_b;
  wire en_a, en_b, rdb_wr_a, rdb_wr_b;
  assign {addr_a, bwe_a, din_a, en_a, rdb_wr_a} = FIRST_A ? {ADDR_A, BWE_A, DIN_A, EN_A, RDB_WR_A}
    : {CAS_IN_ADDR_A, CAS_IN_BWE_A, CAS_IN_DIN_A, CAS_IN_EN_A, CAS_IN_RDB_WR_A};
  assign {addr_b, bwe_b, din_b, en_b, rdb_wr_b} = FIRST_B ? {ADDR_B, BWE_B, DIN_B, EN_B, RDB_WR_B}
    : {CAS_IN_ADDR_B, CAS_IN_BWE_B, CAS_IN_DIN_B, CAS_IN_EN_B, CAS_IN_RDB_WR_B};
  assign {CAS_OUT_ADDR_A, CAS_OUT_BWE_A, CAS_OUT_DIN_A, CAS_OUT_EN_A, CAS_OUT_RDB_WR_A} =
    LAST_A ? {BITS{1'b0}} : {addr_a, bwe_a, din_a, en_a, rdb_wr_a};
  assign {CAS_OUT_ADDR_B, CAS_OUT_BWE_B, CAS_OUT_DIN_B, CAS_OUT_EN_B, CAS_OUT_RDB_WR_B} =
    LAST_B ? {BITS{1'b0}} : {addr_b, bwe_b, din_b, en_b, rdb_wr_b};

  reg [71:0] memory [0:4095];
  reg [71:0] latched = 0;
  reg mine = 0;
  integer i;
  initial for (i = 0; i < 4096; i = i + 1) memory[i] = 0;
  wire match_a = &(~(addr_a[22:12] ^ SELF_ADDR_A) | SELF_MASK_A);
  wire match_b = &(~(addr_b[22:12] ^ SELF_ADDR_B) | SELF_MASK_B);
  always @(posedge CLK) begin
    if (en_a && match_a && rdb_wr_a)
      for (i = 0; i < 9; i = i + 1) if (bwe_a[i]) memory[addr_a[11:0]][8 * i +: 8] <= din_a[8 * i +: 8];
    if (en_b && !rdb_wr_b) mine <= match_b;
    if (en_b && !rdb_wr_b && match_b) latched <= memory[addr_b[11:0]];
  end
  assign DOUT_B = mine ? latched : FIRST_B ? 72'd0 : CAS_IN_DOUT_B;
  assign CAS_OUT_DOUT_B = DOUT_B;
  assign CAS_OUT_RDACCESS_B = CAS_IN_RDACCESS_B | mine;
  assign {DOUT_A, CAS_OUT_DOUT_A, CAS_OUT_RDACCESS_A} = 0;
  assign {CAS_OUT_DBITERR_A, CAS_OUT_DBITERR_B, CAS_OUT_SBITERR_A, CAS_OUT_SBITERR_B} = 0;
endmodule
