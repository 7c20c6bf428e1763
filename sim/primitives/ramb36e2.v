// What the design uses of the UltraScale+ primitive RAMB36E2 (UG573, block RAM): simple dual port with one clock, port B
// writes 72 bits, port A reads 9, 18 or 36 of them through its output register. Compared once, in each of these widths,
// with the vendor's own model (Unisim 2020.1).
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
  localparam BYTES = READ_WIDTH_A / 9;

  reg [63:0] bytes [0:511];
  reg [7:0] ninths [0:511];
  reg [31:0] latched = 0, registered = 0;
  reg [3:0] latched_ninths = 0, registered_ninths = 0;
  integer i;
  initial for (i = 0; i < 512; i = i + 1) begin
    bytes[i] = 0;
    ninths[i] = 0;
  end
  // A byte's number is that of its bit by eight; of the narrower port's word it is the first one.
  wire [2:0] first = ADDRARDADDR[5:3] & ~(BYTES - 1);
  always @(posedge CLKBWRCLK) if (ENBWREN)
    for (i = 0; i < 8; i = i + 1) if (WEBWE[i]) begin
      bytes[ADDRBWRADDR[14:6]][8 * i +: 8] <= i < 4 ? DINADIN[8 * (i % 4) +: 8] : DINBDIN[8 * (i % 4) +: 8];
      ninths[ADDRBWRADDR[14:6]][i] <= i < 4 ? DINPADINP[i % 4] : DINPBDINP[i % 4];
    end
  always @(posedge CLKARDCLK) begin
    if (ENARDEN) begin
      latched <= bytes[ADDRARDADDR[14:6]][8 * first +: 8 * BYTES];
      latched_ninths <= ninths[ADDRARDADDR[14:6]][first +: BYTES];
    end
    if (REGCEAREGCE) begin
      registered <= latched;
      registered_ninths <= latched_ninths;
    end
  end
  assign DOUTADOUT = DOA_REG ? registered : latched;
  assign DOUTPADOUTP = DOA_REG ? registered_ninths : latched_ninths;
endmodule
