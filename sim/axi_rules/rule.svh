// How a rule is written, once for proofs and simulations. Both stand in a clocked block.
//
// RULE is one that the accelerator keeps, GIVEN one that it counts on. A proof asserts the former and assumes the latter;
// a simulation watches both: it prints the name of one that is broken, and `broken` keeps one of the first cycle in which
// any was.
`ifdef FORMAL
`define RULE(rule, holds) rule: assert (holds);
`define GIVEN(rule, holds) rule: assume (holds);
`define REACHED(place, seen) place: cover (seen);
`else
`define RULE(rule, holds) if (!(holds)) begin kept <= 0; broken <= `"rule`"; $display("%m: rule %s broken", `"rule`"); end
`define GIVEN(rule, holds) `RULE(rule, holds)
`define REACHED(place, seen)
`endif
