"""The accelerator as a library element of other flows: Vivado, PYNQ, FuseSoC, bare-metal C."""
