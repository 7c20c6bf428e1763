// Ports of the UltraScale+ primitives that `verilog --technology xilinx` instantiates, so that its output can be linted.
// Nothing is in them: synthesis brings its own.

module LUT6_2 #(parameter [63:0] INIT = 0) (input I0, I1, I2, I3, I4, I5, output O5, O6);
endmodule

module CARRY8 (input CI, CI_TOP, input [7:0] DI, S, output [7:0] CO, O);
endmodule

module RAM32M16 (
  input [4:0] ADDRA, input [1:0] DIA, output [1:0] DOA,
  input [4:0] ADDRB, input [1:0] DIB, output [1:0] DOB,
  input [4:0] ADDRC, input [1:0] DIC, output [1:0] DOC,
  input [4:0] ADDRD, input [1:0] DID, output [1:0] DOD,
  input [4:0] ADDRE, input [1:0] DIE, output [1:0] DOE,
  input [4:0] ADDRF, input [1:0] DIF, output [1:0] DOF,
  input [4:0] ADDRG, input [1:0] DIG, output [1:0] DOG,
  input [4:0] ADDRH, input [1:0] DIH, output [1:0] DOH,
  input WCLK, WE
);
endmodule

module RAMB36E2 #(
  parameter CLOCK_DOMAINS = "INDEPENDENT", parameter integer DOA_REG = 1, parameter integer DOB_REG = 1,
  parameter integer READ_WIDTH_A = 0, parameter integer READ_WIDTH_B = 0, parameter WRITE_MODE_A = "NO_CHANGE",
  parameter WRITE_MODE_B = "NO_CHANGE", parameter integer WRITE_WIDTH_A = 0, parameter integer WRITE_WIDTH_B = 0
) (
  input CLKARDCLK, CLKBWRCLK, SLEEP, ADDRENA, ADDRENB, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [14:0] ADDRARDADDR, ADDRBWRADDR, input [3:0] WEA, input [7:0] WEBWE,
  input [31:0] DINADIN, DINBDIN, input [3:0] DINPADINP, DINPBDINP, output [31:0] DOUTADOUT, output [3:0] DOUTPADOUTP
);
endmodule

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
endmodule
