"""The subcommands of `spikeloom`, one file each; `spikeloom.cli` lists them."""
